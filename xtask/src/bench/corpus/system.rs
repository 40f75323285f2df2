//! Real files of this machine, whole folders at a time; generated ones where there are too few.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::content::{self, Prose};
use super::ext4::BLOCK_BYTES;
use super::numbers::Numbers;

const ROOTS: [&str; 4] = ["/usr/lib", "/usr/share", "/usr/bin", "/usr/include"];
/// One library must not be the corpus: a file may take this part of it, and a folder four times as much.
const LARGEST_PART: u64 = 40;
const LARGEST_BYTES: u64 = 64 << 20;
/// Of the system files in percent: at least halved by a compressor, reduced by at least a tenth, the others. With what
/// else lies in an image of 4 GiB, some 34, 12 and 14 % of it are such.
const SHARES: [u64; 3] = [50, 40, 10];
const SAMPLE_BYTES: u64 = 64 << 10;
/// debugfs searches a folder from its start for every new name.
const MOST_IN_FOLDER: usize = 200;

/// A file of this machine and its size.
type SizedFile = (PathBuf, u64);

/// A file that is to lie in the image.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) source: PathBuf,
    pub(super) folder: String,
    pub(super) name: String,
}

impl Planned {
    pub(super) fn new(source: PathBuf, folder: impl Into<String>, name: impl Into<String>) -> Self {
        let (folder, name) = (folder.into(), name.into());
        Self {
            source,
            folder,
            name,
        }
    }

    pub(super) fn target(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }
}

/// The chosen files, folder by folder.
pub(super) struct System {
    pub(super) folders: Vec<Vec<Planned>>,
    /// How much of it had to be generated.
    pub(super) generated_bytes: u64,
}

/// Files of `budget_bytes`; generated ones go to `staging`.
pub(super) fn choose(budget_bytes: u64, staging: &Path, prose: &Prose) -> Result<System> {
    let largest = LARGEST_BYTES.min(budget_bytes / LARGEST_PART);
    let mut room = SHARES.map(|percent| budget_bytes * percent / 100);
    let mut folders = Vec::new();
    for files in in_fixed_order(installed_files(largest)) {
        let mut folder_room = 4 * largest;
        for files in files.chunks(MOST_IN_FOLDER) {
            let folder = format!("/usr/d{:05}", folders.len());
            let mut planned = Vec::new();
            for (source, size) in files {
                let on_disk = size.next_multiple_of(BLOCK_BYTES);
                // One that cannot be read is not for us.
                let Ok(class) = compressibility(source, *size) else {
                    continue;
                };
                if on_disk <= room[class].min(folder_room) {
                    room[class] -= on_disk;
                    folder_room -= on_disk;
                    let name = format!("f{}", planned.len());
                    planned.push(Planned::new(source.clone(), &folder, name));
                }
            }
            if !planned.is_empty() {
                folders.push(planned);
            }
        }
        if room.iter().sum::<u64>() < budget_bytes / 200 {
            break;
        }
    }
    let left = room.iter().sum::<u64>();
    let generated_bytes = if left < budget_bytes / 50 { 0 } else { left };
    generate(&mut folders, generated_bytes, staging, prose)?;
    Ok(System {
        folders,
        generated_bytes,
    })
}

/// The place in [`SHARES`] of a file: by what a compressor makes of four pieces of it.
fn compressibility(source: &Path, size: u64) -> Result<usize> {
    let file = fs::File::open(source).context("cannot open a system file")?;
    let mut samples = Vec::new();
    for eighth in [1, 3, 5, 7] {
        let start = (size * eighth / 8).saturating_sub(SAMPLE_BYTES / 2);
        let mut sample = vec![0; usize::try_from(SAMPLE_BYTES.min(size - start))?];
        file.read_exact_at(&mut sample, start)
            .context("cannot read a system file")?;
        samples.extend(sample);
        if size <= SAMPLE_BYTES {
            break;
        }
    }
    content::compressibility(&samples)
}

/// Mixed, and by each folder's own name: one more package on the machine moves nothing else.
fn in_fixed_order(found: BTreeMap<PathBuf, Vec<SizedFile>>) -> Vec<Vec<SizedFile>> {
    let mut folders: Vec<(u64, Vec<SizedFile>)> = found
        .into_iter()
        .map(|(folder, files)| (Numbers::named(&folder.to_string_lossy()).next(), files))
        .collect();
    folders.sort();
    folders.into_iter().map(|(_, files)| files).collect()
}

fn generate(
    folders: &mut Vec<Vec<Planned>>,
    budget_bytes: u64,
    staging: &Path,
    prose: &Prose,
) -> Result<()> {
    let mut numbers = Numbers::named("generated system files");
    let mut done = 0;
    while done < budget_bytes {
        let folder = format!("/usr/g{:05}", folders.len());
        let mut planned = Vec::new();
        while planned.len() < MOST_IN_FOLDER && done < budget_bytes {
            // Many small files and a few large ones: the power of two is uniform.
            let most = 4096 << numbers.between(0, 11);
            let length = numbers.length(most / 2, most);
            let bytes = content::program(prose, &mut numbers, length);
            let name = format!("f{}", planned.len());
            let source = staging.join(format!("generated-{}-{name}", folders.len()));
            content::write(&source, &bytes)?;
            planned.push(Planned::new(source, &folder, name));
            done += (length as u64).next_multiple_of(BLOCK_BYTES);
        }
        folders.push(planned);
    }
    Ok(())
}

/// Regular files of at most `largest` bytes that debugfs can be told to copy, by folder.
fn installed_files(largest: u64) -> BTreeMap<PathBuf, Vec<SizedFile>> {
    let mut waiting: Vec<PathBuf> = ROOTS.map(PathBuf::from).to_vec();
    let mut found: BTreeMap<PathBuf, Vec<SizedFile>> = BTreeMap::new();
    while let Some(folder) = waiting.pop() {
        // A folder that cannot be listed has no files for us.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                continue; // gone since it was listed
            };
            if !has_plain_name(&path) {
                continue;
            }
            if metadata.is_dir() {
                waiting.push(path);
            } else if metadata.is_file() && (1..=largest).contains(&metadata.len()) {
                let files = found.entry(folder.clone()).or_default();
                files.push((path, metadata.len()));
            }
        }
    }
    for files in found.values_mut() {
        files.sort();
    }
    found
}

/// Whether debugfs reads the name as one word; compiled Python is left out since a run of Python rewrites it.
fn has_plain_name(path: &Path) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+@%=,/-".contains(c);
    path.to_str()
        .is_some_and(|text| text.chars().all(plain) && !text.contains("__pycache__"))
}

/// Reads the source of a file.
pub(super) fn read(planned: &Planned) -> Result<Vec<u8>> {
    let source = &planned.source;
    fs::read(source).with_context(|| {
        format!(
            "{} went away while the corpus was made; try again",
            source.display()
        )
    })
}

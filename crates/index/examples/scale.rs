//! The index of a repository of 10 TiB, without its data: `scale make FOLDER [TIB]`, then `scale ask FOLDER`.
//!
//! `make` writes segments with the encoder that writers and merges use, in the sizes that merging leads to, and a sample of
//! their ids. `ask` opens them as a local repository does and looks up ids that are there and ids that are not. Only
//! the first pass over the known ids checks blocks. Prints a table of Markdown.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use strongroom_chunk::{
    Header, IndexEntry, IndexedPack, Key, Keys, Kind, ObjectId, Prefix, SegmentEncoder,
};
use strongroom_index::{Catalog, OpenSegment, Snapshot};

type Failure = Box<dyn std::error::Error>;

const TIB: u64 = 10;
const ENTRIES_OF_PACK: u64 = 2048;
const SAMPLE_EVERY: u64 = 300;
const STRANGERS: u64 = 4_000_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder] => make(Path::new(folder), TIB),
        ["make", folder, tib] => make(Path::new(folder), tib.parse()?),
        ["ask", folder] => ask(Path::new(folder)),
        _ => Err("scale make FOLDER [TIB] | scale ask FOLDER".into()),
    }
}

fn keys() -> Keys {
    Keys::derive(ObjectId([1; 16]), &Key([2; 32]))
}

/// Numbers without a pattern, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Entries, and which eighth of the range of ids they are in, if not all of it.
fn shapes(tib: u64) -> Vec<(u64, Option<u64>)> {
    let full = 1u64 << 24;
    // 34 million entries for each TiB, most in segments that eight at a time were merged and split by range; the rest
    // waits for the next merge, as do three of each smaller size.
    let wanted = tib * 34_200_000;
    let waiting = [(1 << 21, 3), (1 << 18, 3), (1 << 15, 3)];
    let large = (wanted / full).saturating_sub(1);
    let split = large / 8 * 8;
    let mut shapes: Vec<_> = (0..split).map(|number| (full, Some(number % 8))).collect();
    shapes.extend((split..large).map(|_| (full, None)));
    for (entries, count) in waiting {
        shapes.extend((0..count).map(|_| (entries, None)));
    }
    shapes
}

fn make(folder: &Path, tib: u64) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let mut sample = File::create(folder.join("sample"))?;
    let mut random = Random(1);
    for (entries, eighth) in shapes(tib) {
        let mut object = [0; 16];
        object[..8].copy_from_slice(&random.next().to_be_bytes());
        let header = Header::new(Kind::IndexSegment, &keys(), ObjectId(object), &Salt);
        let file = File::create(folder.join(ObjectId(object).to_string()))?;
        let sampled = write_segment(file, header, entries, eighth, &mut random)?;
        sample.write_all(&sampled)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Salt;

impl strongroom_types::IdSource for Salt {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "distances between random ids"
)]
fn write_segment(
    mut file: File,
    header: Header,
    entries: u64,
    eighth: Option<u64>,
    random: &mut Random,
) -> Result<Vec<u8>, Failure> {
    let parts = if eighth.is_some() { 8 } else { 1 };
    let listed = entries / ENTRIES_OF_PACK * parts + 1;
    let packs: Vec<IndexedPack> = (0..listed).map(|_| pack(random)).collect();
    let mut encoder = SegmentEncoder::new(header, &keys(), &packs);
    let (start, width) = eighth.map_or((0, u64::MAX), |e| (e << 61, u64::MAX >> 3));
    let mean = width as f64 / (entries + entries / 1000) as f64;
    let mut top = start;
    let mut sampled = Vec::new();
    for number in 0..entries {
        // The gaps between uniform ids; the last few may not fit.
        let even = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let gap = (-(1.0 - even).ln() * mean) as u64;
        let next = top.checked_add(gap + 1);
        let Some(next) = next.filter(|next| next - start < width) else {
            break;
        };
        top = next;
        let prefix = Prefix([top, random.next()]);
        encoder.push(IndexEntry {
            prefix,
            pack: (random.next() % listed) as u32,
            slot: (number % ENTRIES_OF_PACK) as u32,
        });
        if random.next().is_multiple_of(SAMPLE_EVERY) {
            sampled.extend(prefix.0[0].to_be_bytes());
            sampled.extend(prefix.0[1].to_be_bytes());
        }
        if let Some(bytes) = encoder.take(8 << 20) {
            file.write_all(&bytes)?;
        }
    }
    file.write_all(&encoder.finish())?;
    file.sync_all()?;
    Ok(sampled)
}

fn pack(random: &mut Random) -> IndexedPack {
    let mut id = [0; 16];
    // 165 000 packs, each in many segments.
    id[..8].copy_from_slice(&(random.next() % 165_000).to_be_bytes());
    IndexedPack {
        id: ObjectId(id),
        kind: Kind::DataPack,
        length: 64 << 20,
    }
}

fn ask(folder: &Path) -> Result<(), Failure> {
    let started = Spent::now()?;
    let keys = keys();
    let mut catalog = Catalog::default();
    let mut bytes = 0;
    let mut opened = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if !path.ends_with("sample") {
            let segment = OpenSegment::open_file(&path, &keys)?;
            bytes += segment.length();
            opened.push(Arc::new(segment));
        }
    }
    let count = opened.len();
    if let Some((id, error)) = catalog.replace(&[], opened).into_iter().next() {
        return Err(format!("{id}: {error}").into());
    }
    let snapshot = catalog.snapshot();
    let entries: u64 = snapshot.segments().iter().map(|s| s.entry_count()).sum();
    println!(
        "{count} segments, {entries} entries, {} packs, {} MiB of files\n",
        catalog.packs().len(),
        bytes >> 20
    );
    println!(
        "| step | look-ups | s | of CPU | million/s of CPU | anonymous MiB | with mapped pages MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    row("open", 0, &started)?;
    let mut random = Random(99);
    let strangers: Vec<Prefix> = (0..STRANGERS)
        .map(|_| Prefix([random.next(), random.next()]))
        .collect();
    for (pass, at_a_time) in PASSES {
        let started = Spent::now()?;
        let found = look_up(&snapshot, &strangers, at_a_time);
        assert_eq!(found, 0, "an id that nobody made is found");
        row(&format!("unknown ids, {pass}"), STRANGERS, &started)?;
    }
    let mut known = read_sample(&folder.join("sample"))?;
    for number in (1..known.len()).rev() {
        let other = usize::try_from(random.next() % (number as u64 + 1))?;
        known.swap(number, other);
    }
    for (pass, at_a_time) in PASSES {
        let started = Spent::now()?;
        let found = look_up(&snapshot, &known, at_a_time);
        assert_eq!(found, known.len(), "a known id is not found");
        row(&format!("known ids, {pass}"), known.len() as u64, &started)?;
    }
    let distinct: HashSet<Prefix> = known.iter().copied().collect();
    println!("\n{} of the known ids are distinct", distinct.len());
    Ok(())
}

/// How often known and unknown ids are looked up, and how many at a time. The first pass over known ids is the one that
/// checks blocks. A writer has 32 chunks in a portion of the disk that it reads.
const PASSES: [(&str, usize); 4] = [
    ("first touch", 2048),
    ("one at a time", 1),
    ("32 at a time", 32),
    ("2048 at a time", 2048),
];

/// How many are there.
fn look_up(snapshot: &Snapshot, ids: &[Prefix], at_a_time: usize) -> usize {
    let refuse = |_, error| panic!("{error}");
    if at_a_time == 1 {
        let found = |id: &&Prefix| snapshot.find(**id, |_| true, refuse).is_some();
        return ids.iter().filter(found).count();
    }
    let found = ids.chunks(at_a_time).map(|portion| {
        let places = snapshot.find_each(portion, |_| true, refuse);
        places.iter().flatten().count()
    });
    found.sum()
}

fn read_sample(file: &Path) -> Result<Vec<Prefix>, Failure> {
    let bytes = fs::read(file)?;
    let prefixes = bytes
        .chunks_exact(16)
        .map(|id| Ok(Prefix::from_bytes(id.try_into()?)));
    prefixes.collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn row(step: &str, count: u64, since: &Spent) -> Result<(), Failure> {
    let now = Spent::now()?;
    let (wall, cpu) = (
        now.wall - since.wall,
        (now.cpu_ns - since.cpu_ns) as f64 / 1e9,
    );
    let rate = count as f64 / cpu / 1e6;
    let (anonymous, resident) = (memory("RssAnon:")?, memory("VmRSS:")?);
    println!("| {step} | {count} | {wall:.2} | {cpu:.2} | {rate:.2} | {anonymous} | {resident} |");
    Ok(())
}

fn memory(field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line
        .and_then(|l| l.split_whitespace().next())
        .ok_or("no such field")?
        .parse()?;
    Ok(kib >> 10)
}

/// What the process has used so far: seconds since the system started, and time on a processor.
struct Spent {
    wall: f64,
    cpu_ns: u64,
}

impl Spent {
    fn now() -> Result<Self, Failure> {
        let first = |text: String| text.split_whitespace().next().map(str::to_owned);
        let uptime = first(fs::read_to_string("/proc/uptime")?).ok_or("no uptime")?;
        let spent = first(fs::read_to_string("/proc/self/schedstat")?).ok_or("no schedstat")?;
        Ok(Self {
            wall: uptime.parse()?,
            cpu_ns: spent.parse()?,
        })
    }
}

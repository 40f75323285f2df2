//! A disk that is copied out of a backup, to a file or a pipe.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use strongroom_worker::transfer::Progress;
use tempfile::NamedTempFile;
use tokio::sync::{mpsc, oneshot};
use tokio::task::block_in_place;

use super::backups::path;
use super::connection::encode;
use super::download::Download;
use super::{Context, attachments};
use crate::output::human_bytes;
use crate::progress;
use crate::signals::Signals;

/// What file systems leave out of sparse files.
const BLOCK: u64 = 4096;
/// What has come and waits for the standard output.
const PIECES_WAITING: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A server's backup, or a disk's.
    backup: String,
    /// The new file; `-` is the standard output.
    file: PathBuf,
    /// Which disk of a server that has several: its id.
    #[arg(long, value_name = "ID")]
    disk: Option<String>,
    #[arg(long = "format", value_enum, default_value_t = ImageFormat::Raw)]
    image_format: ImageFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImageFormat {
    /// The bytes of the disk; zeros take no space in a file.
    Raw,
    Qcow2,
}

/// Where the image goes.
enum Output {
    Pipe(Pipe),
    File(NewFile),
}

/// The standard output. A thread of its own writes there: whoever reads may let it wait for ever, which must hold up neither a signal
/// nor the end of the process.
struct Pipe {
    pieces: mpsc::Sender<Bytes>,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// A file that has its name only when it is whole and durable.
struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
    position: u64,
}

/// Returns when the image is whole; a signal leaves nothing behind.
pub(super) async fn run(context: &Context, export: &Export) -> anyhow::Result<()> {
    let mut signals = Signals::handle()?;
    tokio::select! {
        copied = copy(context, export) => copied,
        () = signals.wait() => bail!("stopped before the image was whole"),
    }
}

async fn copy(context: &Context, export: &Export) -> anyhow::Result<()> {
    let mut output = Output::open(&export.file)?;
    let disk = match &export.disk {
        Some(disk) => disk.clone(),
        None => only_disk(context, &export.backup).await?,
    };
    let format = match export.image_format {
        ImageFormat::Raw => "raw",
        ImageFormat::Qcow2 => "qcow2",
    };
    let (root, backup) = (attachments::root(context), encode(&export.backup));
    let place = format!(
        "{root}/backups/{backup}/disks/{}/content?format={format}",
        encode(&disk)
    );
    let mut download = Download::begin(&context.connection, place).await?;
    let size = download.size_bytes();
    let progress = Arc::new(Progress::new(size));
    let bar = progress::show(&progress, context.format);
    let copied = async {
        while let Some(bytes) = download.next().await? {
            let length = bytes.len() as u64;
            let written = output.write(bytes).await;
            written.context("the image cannot be written")?;
            progress.advance(length);
        }
        anyhow::Ok(())
    };
    let copied = copied.await;
    bar.end().await;
    copied?;
    let written = output.end().await?;
    let Some(file) = written else { return Ok(()) };
    let sentence = format!(
        "{} of disk {disk} are in {}",
        human_bytes(size),
        file.display()
    );
    let answer = json!({"backup_id": export.backup, "resource_id": disk, "format": format, "size_bytes": size, "file": file});
    context.say(&sentence, &answer)
}

/// The one disk of a backup; which there are, if there are several.
async fn only_disk(context: &Context, backup: &str) -> anyhow::Result<String> {
    let answer = context.connection.get(&path(backup)).await?;
    let backup = &answer["backup"];
    let disks = match backup["children"].as_array() {
        Some(children) if !children.is_empty() => children.iter().collect(),
        _ => vec![backup],
    };
    let id = |disk: &Value| disk["resource_id"].as_str().map(str::to_owned);
    if let [disk] = &disks[..] {
        return id(disk).context("the answer has no resource");
    }
    let named = disks.iter().map(|disk| {
        let name = disk["resource_name"].as_str().unwrap_or_default();
        format!("{} ({name})", id(disk).unwrap_or_default())
    });
    let named: Vec<_> = named.collect();
    bail!(
        "the backup has several disks; --disk says which: {}",
        named.join(", ")
    )
}

impl Output {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let pipe = Pipe::open().context("no thread could be started")?;
            return Ok(Self::Pipe(pipe));
        }
        NewFile::open(path).map(Self::File)
    }

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write(bytes).await,
            Self::File(file) => block_in_place(|| file.write(&bytes)),
        }
    }

    /// Where the image is; nothing when it has gone elsewhere.
    async fn end(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Pipe(pipe) => {
                let ended = pipe.end().await;
                ended.context("the image cannot be written")?;
                Ok(None)
            }
            Self::File(file) => {
                let path = file.path.clone();
                let ended = block_in_place(|| file.end());
                ended.with_context(|| format!("{} cannot be written", path.display()))?;
                Ok(Some(path))
            }
        }
    }
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (pieces, mut received) = mpsc::channel::<Bytes>(PIECES_WAITING);
        let (tell, ended) = oneshot::channel();
        let mut write = move || {
            let mut output = io::stdout();
            while let Some(bytes) = received.blocking_recv() {
                output.write_all(&bytes)?;
            }
            output.flush()
        };
        let writing = std::thread::Builder::new().name("output".to_owned());
        // Nobody listens when the process ends.
        writing.spawn(move || tell.send(write()))?;
        Ok(Self { pieces, ended })
    }

    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        match self.pieces.send(bytes).await {
            Ok(()) => Ok(()),
            Err(_) => outcome(&mut self.ended).await,
        }
    }

    /// Returns when all is written.
    async fn end(mut self) -> io::Result<()> {
        drop(self.pieces);
        outcome(&mut self.ended).await
    }
}

async fn outcome(ended: &mut oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    let gone = |_| Err(io::Error::other("writing stopped unexpectedly"));
    ended.await.unwrap_or_else(gone)
}

impl NewFile {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!("{} is there already", path.display());
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::with_prefix_in(".strongroom-", folder.unwrap_or(Path::new(".")))
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            position: 0,
        })
    }

    /// Leaves out blocks of zeros: the file is new.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (is_zero, length) = run_of(self.position, bytes);
            let (run, rest) = bytes.split_at(length);
            if !is_zero {
                self.file.as_file().write_all_at(run, self.position)?;
            }
            self.position += length as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        self.file.as_file().set_len(self.position)?;
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(&self.path)?;
        let folder = std::path::absolute(&self.path)?;
        File::open(folder.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

/// Whether the bytes at `position` begin with zeros, and for how many of them that stays so, block by block.
fn run_of(position: u64, bytes: &[u8]) -> (bool, usize) {
    let mut run = None;
    let mut end = 0;
    while end < bytes.len() {
        let inside = (position + end as u64) % BLOCK;
        let left = usize::try_from(BLOCK - inside).unwrap_or(usize::MAX);
        let block = &bytes[end..bytes.len().min(end.saturating_add(left))];
        let is_zero = block.iter().all(|byte| *byte == 0);
        if run.is_some_and(|run| run != is_zero) {
            break;
        }
        run = Some(is_zero);
        end += block.len();
    }
    (run.unwrap_or(true), end)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_sparse_and_whole_however_its_bytes_come() {
        let folder = tempfile::tempdir().unwrap();
        let mut content = vec![0; 3 << 20];
        content[5000..5010].fill(7);
        content[(1 << 20)..(1 << 20) + 70_000].fill(9);
        for piece in [1 << 20, 4096, 777, 3 << 20] {
            let path = folder.path().join(format!("{piece}.raw"));
            let mut file = NewFile::open(&path).unwrap();
            for bytes in content.chunks(piece) {
                file.write(bytes).unwrap();
            }
            assert!(!path.exists());
            file.end().unwrap();
            assert!(std::fs::read(&path).unwrap() == content, "{piece}");
            assert!(path.metadata().unwrap().blocks() * 512 < 1 << 20, "{piece}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn what_is_there_stays_and_what_is_not_whole_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut early = NewFile::open(&path).unwrap();
        early.write(b"early").unwrap();
        std::fs::write(&path, "here").unwrap();
        assert!(NewFile::open(&path).is_err() && early.end().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "here");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! The data directory of `serve`: one process at a time, one format version, files that only their owner reads.
//!
//! `lock` (held while the process runs), `VERSION`, `installation.key` (seals secrets in the database),
//! `keys/PROJECT.key` and `repositories/PROJECT/` (one repository per project), `cache/` (may be lost),
//! `strongroom.db`, `credentials.json`; `recovering` while a recovery has not ended.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use strongroom_types::IdSource;
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const OWNER_ONLY_DIRECTORY: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Released when the process ends, however it ends.
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes the directory on first use and takes its lock.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        make_directory(path)?;
        let lock = lock(path)?;
        check_version(path)?;
        make_directory(&path.join("keys"))?;
        make_directory(&path.join("repositories"))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path.join("credentials.json")
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.path.join("repositories")
    }

    /// Copies of what lies far away; made when first needed.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// For what guests overwrite while they are backed up; made when first needed.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// For attached backups; made when first needed.
    pub(crate) fn attached(&self) -> PathBuf {
        self.path.join("attached")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    pub(crate) fn database_address(&self) -> String {
        format!("sqlite:{}", self.database_file().display())
    }

    /// The first start makes the database before the key: a key alone means that the database was lost. A new one
    /// would be a new installation, which knows nothing of what the repositories hold.
    pub(crate) fn refuse_lost_database(&self) -> anyhow::Result<()> {
        let file = self.database_file();
        let is_there = fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0);
        if self.installation_key_exists() && !is_there {
            bail!(
                "the database {} is gone; bring it back, list again what the repositories hold with `strongroom recover`, or \
                 move {} away to begin anew",
                file.display(),
                self.path.display()
            );
        }
        Ok(())
    }

    /// From here on until its end, no server starts on rows that may be a part of the truth.
    pub(crate) fn begin_recovery(&self) -> anyhow::Result<()> {
        write_private(
            &self.recovery_mark(),
            b"strongroom recover is to end this\n",
        )
    }

    pub(crate) fn end_recovery(&self) -> anyhow::Result<()> {
        let mark = self.recovery_mark();
        fs::remove_file(&mark)
            .and_then(|()| File::open(&self.path)?.sync_all())
            .with_context(|| format!("{} cannot be removed", mark.display()))
    }

    pub(crate) fn refuse_unfinished_recovery(&self) -> anyhow::Result<()> {
        if self.recovery_mark().exists() {
            bail!(
                "a recovery of {} was not finished; run `strongroom recover` again",
                self.path.display()
            );
        }
        Ok(())
    }

    fn recovery_mark(&self) -> PathBuf {
        self.path.join("recovering")
    }

    fn database_file(&self) -> PathBuf {
        self.path.join("strongroom.db")
    }

    pub(crate) fn installation_key_file(&self) -> PathBuf {
        self.path.join("installation.key")
    }

    pub(crate) fn installation_key_exists(&self) -> bool {
        self.installation_key_file().exists()
    }

    /// The key that seals secrets in the database; made on first use.
    pub(crate) fn installation_key(
        &self,
        ids: &dyn IdSource,
    ) -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let file = self.installation_key_file();
        if !file.exists() {
            let mut key = Zeroizing::new([0; 32]);
            ids.fill(&mut *key);
            write_private(&file, &*key)?;
        }
        let key = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let key = Zeroizing::new(key);
        key.as_slice()
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| anyhow::anyhow!("{} is not 32 bytes long", file.display()))
    }
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY_DIRECTORY)
        .create(path)
        .and_then(|()| File::open(path.join(".."))?.sync_all())
        .with_context(|| format!("the directory {} cannot be made", path.display()))
}

fn lock(path: &Path) -> anyhow::Result<Flock<File>> {
    let file = path.join("lock");
    let mut opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY_FILE)
        .open(&file)
        .with_context(|| format!("{} cannot be opened", file.display()))?;
    let mut holder = String::new();
    opened
        .read_to_string(&mut holder)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)?;
            std::io::Seek::rewind(&mut *lock)?;
            writeln!(lock, "{}", std::process::id())?;
            Ok(lock)
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!(
                "the data directory {} is in use by another process (pid {})",
                path.display(),
                holder.trim()
            )
        }
        Err((_, error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", file.display()))
        }
    }
}

fn check_version(path: &Path) -> anyhow::Result<()> {
    let file = path.join("VERSION");
    if !file.exists() {
        return write_private(&file, format!("{VERSION}\n").as_bytes());
    }
    let text =
        fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    match text.trim().parse::<u32>() {
        Ok(VERSION) => Ok(()),
        Ok(newer) if newer > VERSION => bail!(
            "the data directory {} was written by a newer strongroom (format {newer}, this one knows {VERSION})",
            path.display()
        ),
        _ => bail!(
            "{} does not hold a format version this strongroom knows",
            file.display()
        ),
    }
}

pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    strongroom_worker::write_private(path, content)
        .with_context(|| format!("{} cannot be written", path.display()))
}

//! Disks as files of a file system that is only read, in one folder.

mod disk;
mod names;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen,
    Request, Session, SessionUnmounter,
};
use nix::unistd::{getegid, geteuid};
use tokio::sync::oneshot;

pub(crate) use disk::{Disk, Patience};
pub(crate) use names::file_names;

/// Reads that are answered at the same time.
const READS_AT_ONCE: usize = 8;
/// Nothing changes here.
const VALID_FOR: Duration = Duration::from_hours(1);
const FILE_MODE: u16 = 0o400;
const FOLDER_MODE: u16 = 0o500;

/// The files, in the order of their inodes behind the folder's.
#[derive(Debug)]
struct Files(Vec<Disk>);

/// A folder that shows disks, until it is unmounted.
#[derive(Debug)]
pub(crate) struct Mounted {
    unmounter: SessionUnmounter,
    patience: Arc<Patience>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Mounted {
    /// Shows the disks in a folder that is there already.
    pub(crate) fn mount(
        folder: &Path,
        disks: Vec<Disk>,
        patience: Arc<Patience>,
    ) -> anyhow::Result<Self> {
        let mut config = Config::default();
        config.n_threads = Some(READS_AT_ONCE);
        config.mount_options = vec![
            MountOption::FSName("strongroom".to_owned()),
            MountOption::RO,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::NoExec,
            MountOption::DefaultPermissions,
        ];
        let mut session = Session::new(Files(disks), folder, &config)
            .with_context(|| format!("nothing can be mounted at {}", folder.display()))?;
        let unmounter = session.unmount_callable();
        let (sender, ended) = oneshot::channel();
        // Of its own: one that somebody keeps busy must not hold up the end of the process.
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || sender.send(session.run()))
            .context("no thread could be started")?;
        Ok(Self {
            unmounter,
            patience,
            ended,
        })
    }

    /// Returns when somebody has unmounted the folder.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        let ended = (&mut self.ended).await;
        ended
            .context("the file system stopped unexpectedly")?
            .context("the file system failed")
    }

    /// Unmounts the folder; reads that wait for a lost connection fail.
    pub(crate) fn unmount(mut self) -> io::Result<()> {
        self.patience.end();
        self.unmounter.unmount()
    }
}

impl Files {
    fn disk(&self, inode: INodeNo) -> Option<&Disk> {
        let place = u64::from(inode).checked_sub(u64::from(INodeNo::ROOT) + 1)?;
        self.0.get(usize::try_from(place).ok()?)
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        if inode == INodeNo::ROOT {
            return Some(attributes(inode, FileType::Directory, 0));
        }
        let disk = self.disk(inode)?;
        Some(attributes(inode, FileType::RegularFile, disk.size_bytes))
    }
}

fn inode(place: usize) -> INodeNo {
    INodeNo(u64::from(INodeNo::ROOT) + 1 + place as u64)
}

fn attributes(ino: INodeNo, kind: FileType, size: u64) -> FileAttr {
    let is_folder = kind == FileType::Directory;
    FileAttr {
        ino,
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: if is_folder { FOLDER_MODE } else { FILE_MODE },
        nlink: if is_folder { 2 } else { 1 },
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let place = self.0.iter().position(|disk| *disk.file_name == *name);
        let found = place.filter(|_| parent == INodeNo::ROOT).map(inode);
        match found.and_then(|inode| self.attributes(inode)) {
            Some(attributes) => reply.entry(&VALID_FOR, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&VALID_FOR, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(disk) = self.disk(inode) else {
            return reply.error(Errno::ENOENT);
        };
        match disk.read(offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => {
                crate::output::remark(&format!("{}: {error}", disk.file_name.display()));
                reply.error(Errno::EIO);
            }
        }
    }

    fn readdir(
        &self,
        _: &Request,
        folder: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if folder != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let folders =
            [".", ".."].map(|name| (INodeNo::ROOT, FileType::Directory, OsStr::new(name)));
        let files = (0..).zip(&self.0);
        let files = files.map(|(n, disk)| (inode(n), FileType::RegularFile, &*disk.file_name));
        let entries = (1..).zip(folders.into_iter().chain(files));
        for (next, (inode, kind, name)) in entries.skip_while(|(next, _)| *next <= offset) {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

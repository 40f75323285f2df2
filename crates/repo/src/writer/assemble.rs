use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use strongroom_chunk::{ContentId, Header, Kind, ObjectId, PackBuilder, Place};
use strongroom_store::StorageKind;

use super::choose::{CutChunk, Entry, FrameStep, Step};
use super::session::Session;
use super::tree::TreeBuilder;
use super::upload::Upload;
use crate::engine::Engine;
use crate::sessions::SessionId;
use crate::{Error, Result};

/// Seals frames into packs in the order of the image, and grows the tree over all chunks.
#[derive(Debug)]
pub(super) struct Assembler {
    engine: Arc<Engine>,
    session: Arc<Session>,
    uploads: Sender<Upload>,
    pack: Option<PackBuilder>,
    /// The last pack found the storage busy.
    has_waited: bool,
    tree: TreeBuilder,
}

/// Starts a pack with an id and a salt of its own.
pub(crate) fn new_pack(engine: &Engine, session: SessionId, kind: Kind) -> PackBuilder {
    let object = session.new_pack(&*engine.env.ids);
    let header = Header::new(kind, &engine.keys, object, &*engine.env.ids);
    if engine.options.parity {
        PackBuilder::with_parity(header, &engine.keys)
    } else {
        PackBuilder::new(header, &engine.keys)
    }
}

impl Assembler {
    pub(super) fn new(
        engine: &Arc<Engine>,
        session: &Arc<Session>,
        size_bytes: u64,
        uploads: Sender<Upload>,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            uploads,
            pack: None,
            has_waited: false,
            tree: TreeBuilder::new(engine, session, size_bytes),
        }
    }

    pub(super) fn run(&mut self, steps: &Receiver<Step>) -> Result<()> {
        for step in steps {
            match step {
                Step::Entries { entries, frame } => {
                    if let Some(frame) = frame {
                        self.pack_frame(&frame)?;
                    }
                    self.place(entries)?;
                }
                Step::Finish {
                    bytes_scanned,
                    bytes_new,
                } => {
                    let root = self.tree.finish();
                    self.close_pack()?;
                    self.close_node_packs()?;
                    return self.send(Upload::Finish {
                        root,
                        bytes_scanned,
                        bytes_new,
                    });
                }
            }
        }
        Err(Error::Fenced)
    }

    fn pack_frame(&mut self, frame: &FrameStep) -> Result<()> {
        let (codec, bytes) = frame
            .compressed
            .recv()
            .map_err(|_| Error::Broken("a compressing thread"))?;
        let pack = self
            .pack
            .get_or_insert_with(|| new_pack(&self.engine, self.session.id(), Kind::DataPack));
        let first = pack.push(codec, bytes, &frame.chunks);
        let object = pack.header().object;
        let full = pack.length() >= self.engine.options.pack_bytes_target;
        self.session.set_places(slots(object, first, &frame.chunks));
        if full {
            self.close_pack()?;
        }
        Ok(())
    }

    fn place(&mut self, entries: Vec<Entry>) -> Result<()> {
        for entry in entries {
            match entry {
                Entry::Chunk(chunk) => {
                    let place = self.place_of(&chunk)?;
                    self.tree.push(chunk, place);
                }
                Entry::Node(node) => self.tree.carry(&node),
            }
        }
        if self.tree.has_full_pack() {
            self.close_pack()?;
            self.close_node_packs()?;
        }
        Ok(())
    }

    fn place_of(&self, chunk: &CutChunk) -> Result<Place> {
        let prefix = chunk.id.prefix();
        chunk
            .place
            .or_else(|| self.session.place(prefix))
            .or_else(|| self.engine.index.find(prefix, |p| self.session.usable(p)))
            .ok_or(Error::Broken("a chunk was lost between the stages"))
    }

    fn close_pack(&mut self) -> Result<()> {
        match self.pack.take() {
            Some(pack) => self.send(Upload::Pack(pack.finish())),
            None => Ok(()),
        }
    }

    /// Called behind [`Self::close_pack`]: the chunks are stored before the nodes that name them.
    fn close_node_packs(&mut self) -> Result<()> {
        for pack in self.tree.take_packs() {
            self.send(Upload::Pack(pack))?;
        }
        Ok(())
    }

    fn send(&mut self, upload: Upload) -> Result<()> {
        let upload = match self.uploads.try_send(upload) {
            Ok(()) => {
                self.has_waited = false;
                self.session.set_waits_for_storage(false);
                return Ok(());
            }
            Err(TrySendError::Disconnected(_)) => return Err(Error::Fenced),
            Err(TrySendError::Full(upload)) => upload,
        };
        // Once may be chance, and memory is never what one waits for.
        let kind = self.engine.store.storage().kind();
        let waits = self.has_waited && kind != StorageKind::Memory;
        self.session.set_waits_for_storage(waits);
        self.has_waited = true;
        self.uploads.send(upload).map_err(|_| Error::Fenced)
    }
}

/// The places of chunks or nodes that were packed one after the other.
pub(super) fn slots(
    pack: ObjectId,
    first: u32,
    chunks: &[(ContentId, u32)],
) -> impl Iterator<Item = (strongroom_chunk::Prefix, Place)> {
    chunks
        .iter()
        .zip(first..)
        .map(move |((id, _), slot)| (id.prefix(), Place { pack, slot }))
}

//! From a fresh connection to an export that can be read.

use super::{ClientOptions, Context, ExportInfo};
use crate::proto::{
    self, BlockSizes, FIXED_NEWSTYLE, GREETING, GREETING_BYTES, Info, Listed, NO_ZEROES,
    OPTION_REPLY_HEAD_BYTES, OptionCode, OptionReply, OptionReplyHead, Refusal,
};
use crate::stream::Duplex;
use crate::{Error, Result};

/// A server that replies more often to one option keeps us for its own ends.
const REPLIES_MAX: usize = 4096;

/// What was agreed on.
pub(super) struct Agreement {
    pub(super) info: ExportInfo,
    pub(super) is_structured: bool,
}

/// The wire while options are haggled over.
pub(super) struct Haggling<'a> {
    stream: &'a mut dyn Duplex,
}

/// Exchanges greetings.
pub(super) fn greet(stream: &mut dyn Duplex) -> Result<()> {
    let mut haggling = Haggling::over(stream);
    let mut greeting = [0; GREETING_BYTES];
    haggling.receive(&mut greeting)?;
    let (magic, flags) = greeting.split_at(GREETING.len());
    let flags = u16::from_be_bytes([flags[0], flags[1]]);
    if magic != GREETING {
        return Err(Error::protocol("no greeting of a server of the new style"));
    }
    if flags & FIXED_NEWSTYLE == 0 {
        return Err(Error::protocol("the server cannot haggle over options"));
    }
    let answer = u32::from(flags & (FIXED_NEWSTYLE | NO_ZEROES));
    haggling.send(&answer.to_be_bytes())
}

impl<'a> Haggling<'a> {
    /// Greetings were exchanged.
    pub(super) fn over(stream: &'a mut dyn Duplex) -> Self {
        Self { stream }
    }

    /// After which the stream speaks TLS.
    pub(super) fn ask_for_tls(mut self) -> Result<()> {
        self.ask(OptionCode::STARTTLS, &[])?;
        match self.replies(OptionCode::STARTTLS, |_| {})? {
            None => Ok(()),
            Some(refusal) => Err(refused("TLS", refusal)),
        }
    }

    /// Chooses `export`, with structured replies and as many of the contexts as the server has.
    pub(super) fn choose(mut self, export: &str, options: &ClientOptions) -> Result<Agreement> {
        let is_structured = self.ask_for_structured_replies()?;
        let contexts = if is_structured && !options.contexts.is_empty() {
            self.ask_for_contexts(export, &options.contexts)?
        } else {
            Vec::new()
        };
        let info = self.go(export, contexts)?;
        Ok(Agreement {
            info,
            is_structured,
        })
    }

    /// All exports that the server names.
    pub(super) fn list(mut self) -> Result<Vec<Listed>> {
        let mut exports = Vec::new();
        self.ask(OptionCode::LIST, &[])?;
        let refusal = self.replies(OptionCode::LIST, |reply| {
            if let OptionReply::Listed(export) = reply {
                exports.push(export);
            }
        })?;
        // The server may close without a reply, so nobody waits for one.
        let _ = self.ask(OptionCode::ABORT, &[]);
        match refusal {
            None => Ok(exports),
            Some(refusal) => Err(refused("to list its exports", refusal)),
        }
    }

    fn ask_for_structured_replies(&mut self) -> Result<bool> {
        self.ask(OptionCode::STRUCTURED_REPLY, &[])?;
        match self.replies(OptionCode::STRUCTURED_REPLY, |_| {})? {
            None => Ok(true),
            Some(refusal) if refusal.0 == Refusal::TLS_REQUIRED => {
                Err(refused("a connection without TLS", refusal))
            }
            Some(_) => Ok(false),
        }
    }

    fn ask_for_contexts(&mut self, export: &str, names: &[String]) -> Result<Vec<Context>> {
        let mut contexts = Vec::new();
        let query = proto::context_query(export, names);
        self.ask(OptionCode::SET_META_CONTEXT, &query)?;
        let refusal = self.replies(OptionCode::SET_META_CONTEXT, |reply| {
            if let OptionReply::Context { id, name } = reply {
                contexts.push(Context { id, name });
            }
        })?;
        if refusal.is_some() {
            // A server without contexts can be read all the same; one without the export says so when it is chosen.
            contexts.clear();
        }
        Ok(contexts)
    }

    fn go(&mut self, export: &str, contexts: Vec<Context>) -> Result<ExportInfo> {
        let mut told = None;
        let mut block_sizes = BlockSizes::default();
        self.ask(OptionCode::GO, &proto::go(export))?;
        let refusal = self.replies(OptionCode::GO, |reply| match reply {
            OptionReply::Info(Info::Export { size_bytes, flags }) => {
                told = Some((size_bytes, flags));
            }
            OptionReply::Info(Info::BlockSizes(sizes)) => block_sizes = sizes,
            _ => {}
        })?;
        if let Some(refusal) = refusal {
            return Err(refused(&format!("the export {export:?}"), refusal));
        }
        let Some((size_bytes, flags)) = told else {
            return Err(Error::protocol("an export whose size is not told"));
        };
        if !size_bytes.is_multiple_of(u64::from(block_sizes.minimum)) {
            let detail = format!("an export of {size_bytes} bytes with blocks of {block_sizes:?}");
            return Err(Error::Protocol(detail));
        }
        Ok(ExportInfo {
            size_bytes,
            flags,
            block_sizes,
            contexts,
        })
    }

    fn ask(&mut self, option: OptionCode, data: &[u8]) -> Result<()> {
        self.send(&proto::option(option, data))
    }

    /// Takes replies until the last; returns the refusal if that is what it was.
    fn replies(
        &mut self,
        option: OptionCode,
        mut take: impl FnMut(OptionReply),
    ) -> Result<Option<(Refusal, String)>> {
        for _ in 0..REPLIES_MAX {
            let mut head = [0; OPTION_REPLY_HEAD_BYTES];
            self.receive(&mut head)?;
            let head = OptionReplyHead::decode(&head, option)?;
            let mut data = vec![0; usize::try_from(head.length).expect("it is bounded")];
            self.receive(&mut data)?;
            match OptionReply::decode(&head, &data)? {
                OptionReply::Ack => return Ok(None),
                OptionReply::Refused(refusal, message) => return Ok(Some((refusal, message))),
                reply => take(reply),
            }
        }
        Err(Error::protocol("replies without end to one option"))
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        let outcome = self.stream.read_exact(buffer);
        outcome.map_err(lost)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let outcome = self.stream.write_all(bytes);
        outcome.map_err(lost)
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::from_stream("opening the export", error)
}

fn refused(what: &str, (refusal, message): (Refusal, String)) -> Error {
    Error::Refused {
        what: what.to_owned(),
        message: if message.is_empty() {
            refusal.sentence()
        } else {
            message
        },
    }
}

//! From a fresh connection to the export that the client chooses.

use std::io::{Read, Write};
use std::sync::Arc;

use super::table::{Names, Table};
use super::{Export, Limits};
use crate::proto::{
    BASE_ALLOCATION, BlockSizes, EXPORT_NAME_PADDING, FIXED_NEWSTYLE, GREETING, Info, Listed,
    NO_ZEROES, OPTION_HEAD_BYTES, OptionCode, OptionHead, OptionReply, OptionRequest, Refusal,
    TransmissionFlags, option_reply,
};
use crate::{Error, Result};

/// A client that asks for more is no client.
const OPTIONS_MAX: usize = 256;

/// The number that `base:allocation` has in our replies.
pub(super) const ALLOCATION_ID: u32 = 1;

/// What was agreed on.
pub(super) struct Session {
    pub(super) export: Arc<dyn Export>,
    pub(super) name: String,
    pub(super) is_structured: bool,
    pub(super) has_allocation: bool,
}

/// What a client said in its greeting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Greeted {
    /// It wants to be spared the zeros.
    no_zeroes: bool,
}

pub(super) fn greet(reader: &mut dyn Read, writer: &mut dyn Write) -> Result<Greeted> {
    let offered = FIXED_NEWSTYLE | NO_ZEROES;
    let mut greeting = GREETING.to_vec();
    greeting.extend(offered.to_be_bytes());
    writer.write_all(&greeting).map_err(lost)?;
    let mut flags = [0; 4];
    reader.read_exact(&mut flags).map_err(lost)?;
    let flags = u32::from_be_bytes(flags);
    if flags & !u32::from(offered) != 0 {
        return Err(Error::protocol("a client with flags that nobody offered"));
    }
    let no_zeroes = flags & u32::from(NO_ZEROES) != 0;
    Ok(Greeted { no_zeroes })
}

/// Tells nothing until the client asks for TLS, which is spoken from then on; `false` if it leaves politely.
///
/// Nothing is read beyond the option, so that what was said in the clear does not count as if it had been said under TLS.
pub(super) fn wait_for_tls(reader: &mut dyn Read, writer: &mut dyn Write) -> Result<bool> {
    for _ in 0..OPTIONS_MAX {
        let (option, data) = read_option(reader)?;
        match option {
            OptionCode::STARTTLS if data.is_empty() => {
                reply(writer, option, &OptionReply::Ack)?;
                return Ok(true);
            }
            OptionCode::STARTTLS => {
                let message = "nothing comes with this option".to_owned();
                let refusal = OptionReply::Refused(Refusal::INVALID, message);
                reply(writer, option, &refusal)?;
            }
            OptionCode::ABORT => {
                // The client may have gone already.
                let _ = reply(writer, option, &OptionReply::Ack);
                return Ok(false);
            }
            // It has no words for a refusal.
            OptionCode::EXPORT_NAME => return Err(Error::protocol("no TLS before the export")),
            _ => {
                let message = "TLS comes first".to_owned();
                let refusal = OptionReply::Refused(Refusal::TLS_REQUIRED, message);
                reply(writer, option, &refusal)?;
            }
        }
    }
    Err(Error::protocol("options without end"))
}

/// Haggles until the client has chosen an export; none if it leaves politely.
pub(super) fn choose(
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    greeted: Greeted,
    table: &Table,
    limits: &Limits,
) -> Result<Option<Session>> {
    let mut haggling = Haggling {
        reader,
        writer,
        table,
        limits,
        greeted,
        is_structured: false,
        allocation_of: None,
    };
    for _ in 0..OPTIONS_MAX {
        match haggling.next_option()? {
            Step::Another => {}
            Step::Chosen(export, name) => {
                // Contexts that were chosen for another export do not hold for this one.
                let has_allocation = haggling.allocation_of.is_some_and(|of| of == name);
                return Ok(Some(Session {
                    export,
                    name,
                    is_structured: haggling.is_structured,
                    has_allocation,
                }));
            }
            Step::Left => return Ok(None),
        }
    }
    Err(Error::protocol("options without end"))
}

fn read_option(reader: &mut dyn Read) -> Result<(OptionCode, Vec<u8>)> {
    let mut head = [0; OPTION_HEAD_BYTES];
    reader.read_exact(&mut head).map_err(lost)?;
    let OptionHead { option, length } = OptionHead::decode(&head)?;
    let mut data = vec![0; usize::try_from(length).expect("it is bounded")];
    reader.read_exact(&mut data).map_err(lost)?;
    Ok((option, data))
}

fn reply(writer: &mut dyn Write, option: OptionCode, reply: &OptionReply) -> Result<()> {
    let bytes = option_reply(option, reply);
    writer.write_all(&bytes).map_err(lost)
}

fn lost(error: std::io::Error) -> Error {
    Error::from_stream("haggling with a client", error)
}

enum Step {
    Another,
    Chosen(Arc<dyn Export>, String),
    Left,
}

struct Haggling<'a> {
    reader: &'a mut dyn Read,
    writer: &'a mut dyn Write,
    table: &'a Table,
    limits: &'a Limits,
    greeted: Greeted,
    is_structured: bool,
    /// The export whose `base:allocation` was chosen.
    allocation_of: Option<String>,
}

impl Haggling<'_> {
    fn next_option(&mut self) -> Result<Step> {
        let (option, data) = read_option(self.reader)?;
        let request = match OptionRequest::decode(option, &data) {
            Ok(request) => request,
            Err(error) if option == OptionCode::EXPORT_NAME => return Err(error),
            Err(error) => {
                self.refuse(option, Refusal::INVALID, &error.to_string())?;
                return Ok(Step::Another);
            }
        };
        match request {
            OptionRequest::ExportName(name) => return self.choose_silently(name),
            OptionRequest::Abort => {
                // The client may have gone already.
                let _ = self.reply(option, &OptionReply::Ack);
                return Ok(Step::Left);
            }
            OptionRequest::List => self.list(option)?,
            OptionRequest::StartTls => self.refuse_tls(option)?,
            OptionRequest::Info(name) => {
                self.describe(option, &name)?;
            }
            OptionRequest::Go(name) => {
                if let Some(export) = self.describe(option, &name)? {
                    return Ok(Step::Chosen(export, name));
                }
            }
            OptionRequest::StructuredReply => {
                self.is_structured = true;
                self.reply(option, &OptionReply::Ack)?;
            }
            OptionRequest::ListContexts { export, queries } => {
                let is_meant = queries.is_empty()
                    || queries
                        .iter()
                        .any(|query| query == "base:" || query == BASE_ALLOCATION);
                self.contexts(option, &export, is_meant)?;
            }
            OptionRequest::SetContexts { export, queries } => {
                let is_meant = queries.iter().any(|query| query == BASE_ALLOCATION);
                self.allocation_of = None;
                if self.contexts(option, &export, is_meant)? && is_meant {
                    self.allocation_of = Some(export);
                }
            }
            OptionRequest::Unknown => {
                self.refuse(option, Refusal::UNSUPPORTED, "")?;
            }
        }
        Ok(Step::Another)
    }

    /// The old way to choose, which has no words for a refusal.
    fn choose_silently(&mut self, name: String) -> Result<Step> {
        let Some(export) = self.table.export(&name) else {
            return Err(Error::protocol(format!("there is no export {name:?}")));
        };
        let mut reply = export.size_bytes().to_be_bytes().to_vec();
        let flags = flags_of(export.as_ref(), self.is_structured);
        reply.extend(flags.0.to_be_bytes());
        if !self.greeted.no_zeroes {
            reply.resize(reply.len() + EXPORT_NAME_PADDING, 0);
        }
        self.writer.write_all(&reply).map_err(lost)?;
        Ok(Step::Chosen(export, name))
    }

    fn list(&mut self, option: OptionCode) -> Result<()> {
        if self.table.names == Names::Secret {
            return self.refuse(option, Refusal::POLICY, "the names of exports are not told");
        }
        for name in self.table.names() {
            let listed = Listed {
                name,
                description: String::new(),
            };
            self.reply(option, &OptionReply::Listed(listed))?;
        }
        self.reply(option, &OptionReply::Ack)
    }

    /// It is spoken already, or not at all.
    fn refuse_tls(&mut self, option: OptionCode) -> Result<()> {
        match self.table.names {
            Names::Secret => self.refuse(option, Refusal::INVALID, "TLS is spoken already"),
            Names::Listed => self.refuse(option, Refusal::UNSUPPORTED, ""),
        }
    }

    /// Tells all about an export, or that it is not there.
    fn describe(&mut self, option: OptionCode, name: &str) -> Result<Option<Arc<dyn Export>>> {
        let Some(export) = self.table.export(name) else {
            self.refuse(option, Refusal::UNKNOWN_EXPORT, "there is no such export")?;
            return Ok(None);
        };
        let told = [
            Info::Export {
                size_bytes: export.size_bytes(),
                flags: flags_of(export.as_ref(), self.is_structured),
            },
            Info::BlockSizes(BlockSizes {
                maximum: self.limits.request_bytes,
                ..BlockSizes::default()
            }),
        ];
        for info in told {
            self.reply(option, &OptionReply::Info(info))?;
        }
        self.reply(option, &OptionReply::Ack)?;
        Ok(Some(export))
    }

    /// Names `base:allocation` if it is meant. Returns whether the option was in order.
    fn contexts(&mut self, option: OptionCode, export: &str, is_meant: bool) -> Result<bool> {
        if !self.is_structured {
            let message = "structured replies come first";
            self.refuse(option, Refusal::INVALID, message)?;
            return Ok(false);
        }
        if self.table.export(export).is_none() {
            self.refuse(option, Refusal::UNKNOWN_EXPORT, "there is no such export")?;
            return Ok(false);
        }
        if is_meant {
            let name = BASE_ALLOCATION.to_owned();
            let id = ALLOCATION_ID;
            self.reply(option, &OptionReply::Context { id, name })?;
        }
        self.reply(option, &OptionReply::Ack)?;
        Ok(true)
    }

    fn refuse(&mut self, option: OptionCode, refusal: Refusal, message: &str) -> Result<()> {
        self.reply(option, &OptionReply::Refused(refusal, message.to_owned()))
    }

    fn reply(&mut self, option: OptionCode, told: &OptionReply) -> Result<()> {
        reply(self.writer, option, told)
    }
}

fn flags_of(export: &dyn Export, is_structured: bool) -> TransmissionFlags {
    type Flags = TransmissionFlags;
    let mut flags = Flags::HAS_FLAGS | Flags::SEND_CACHE;
    if is_structured {
        flags |= Flags::SEND_DF;
    }
    flags |= if export.writable().is_some() {
        Flags::SEND_FLUSH | Flags::SEND_FUA | Flags::SEND_TRIM | Flags::SEND_WRITE_ZEROES
    } else {
        Flags::READ_ONLY | Flags::CAN_MULTI_CONN
    };
    TransmissionFlags(flags)
}

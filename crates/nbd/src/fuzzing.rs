//! Both ends of the protocol, for the fuzzer and the tests: any bytes from the peer, no panic, no great memory, no wait.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::proto::{Command, NO_ZEROES, OptionCode, Request, context_query, go, option};
use crate::server::{Names, Table, converse_before_tls, converse_over};
use crate::{
    Ahead, Allocation, BASE_ALLOCATION, Client, ClientOptions, Export, Fault, Limits, Reader,
    Result, Selection, Stretch,
};

const SIZE_BYTES: u64 = 4 << 10;
/// Where the second half, a hole, begins.
const HOLE: u64 = SIZE_BYTES / 2;
const PIECE_BYTES: u32 = 512;
/// A place, and what is written there.
const CHANGE_BYTES: usize = 3;

/// Takes `bytes` as what a peer says, for both ends; and as changes to what a sound peer says.
pub fn hear(bytes: &[u8]) {
    hear_client(bytes);
    let _ = converse_before_tls(&mut &bytes[..], &mut io::sink());
    // What comes of it is of no interest, only that it ends.
    let _ = hear_server(bytes);
    let (mut asked, mut told) = (sound_client(), sound_server());
    for change in bytes.chunks_exact(CHANGE_BYTES) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]]));
        for said in [&mut asked, &mut told] {
            let place = place % said.len();
            said[place] ^= change[2];
        }
    }
    hear_client(&asked);
    let _ = hear_server(&told);
}

/// What a client says who reads the export as [`hear_server`] does.
pub fn sound_client() -> Vec<u8> {
    let contexts = [BASE_ALLOCATION.to_owned()];
    let mut said = u32::from(NO_ZEROES | 1).to_be_bytes().to_vec();
    said.extend(option(OptionCode::STRUCTURED_REPLY, &[]));
    said.extend(option(
        OptionCode::SET_META_CONTEXT,
        &context_query("", &contexts),
    ));
    said.extend(option(OptionCode::GO, &go("")));
    let reads = (0..HOLE).step_by(PIECE_BYTES as usize);
    let mut asked = vec![(
        Command::BlockStatus,
        0,
        u32::try_from(SIZE_BYTES).expect("a small export"),
    )];
    asked.extend(reads.map(|offset| (Command::Read, offset, PIECE_BYTES)));
    asked.push((Command::Disconnect, 0, 0));
    for (cookie, (command, offset, length)) in (1..).zip(asked) {
        let request = Request {
            flags: 0,
            command,
            cookie,
            offset,
            length,
        };
        said.extend(request.encode());
    }
    said
}

/// What our server answers to that.
pub fn sound_server() -> Vec<u8> {
    hear_client(&sound_client())
}

/// Lets our server hear `bytes` from a client; returns what it said.
pub fn hear_client(bytes: &[u8]) -> Vec<u8> {
    let limits = Limits {
        requests_at_once: 1, // so that its answers have one order
        request_bytes: PIECE_BYTES,
        ..Limits::default()
    };
    let export: Arc<dyn Export> = Arc::new(HalfFull);
    let table = Table::new(Names::Listed);
    table.offer("", export);
    let mut said = Vec::new();
    converse_over(&mut &bytes[..], &mut said, &table, &limits);
    said
}

/// Lets our client hear `bytes` from a server; returns how much it read.
pub fn hear_server(bytes: &[u8]) -> Result<u64> {
    let stream = Box::new(Script(io::Cursor::new(bytes.to_vec())));
    let client = Client::open(stream, "", &ClientOptions::default())?;
    let ahead = Ahead {
        requests: 8,
        request_bytes: PIECE_BYTES,
    };
    let mut reader = Reader::new(client, &Selection::Allocated, ahead)?;
    let mut length = 0;
    while let Some(piece) = reader.next_piece()? {
        length += piece.length;
    }
    Ok(length)
}

/// Says what it was given, and hears nothing.
struct Script(io::Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sevens, then a hole.
struct HalfFull;

impl Export for HalfFull {
    fn size_bytes(&self) -> u64 {
        SIZE_BYTES
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        for (at, byte) in (offset..).zip(buffer) {
            *byte = if at < HOLE { 7 } else { 0 };
        }
        Ok(())
    }

    fn stretches(&self, offset: u64, _length: u64) -> Result<Vec<Stretch>, Fault> {
        let hole = Stretch {
            length: SIZE_BYTES - offset.max(HOLE),
            allocation: Allocation::Hole,
        };
        if offset >= HOLE {
            return Ok(vec![hole]);
        }
        let data = Stretch {
            length: HOLE - offset,
            allocation: Allocation::Data,
        };
        Ok(vec![data, hole])
    }
}

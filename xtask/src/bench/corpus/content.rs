//! What the generated files of the image hold: text, database pages, random bytes and mixtures.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context, Result};

use super::numbers::Numbers;

pub(super) const PAGE_BYTES: usize = 8192;
/// A store alternates text and random bytes in extents of this size.
const EXTENT_BYTES: usize = 64 << 10;
/// What stands in the unwritten end of a log until it is zeroed: debugfs would leave zeros out as a hole.
const FILLER: u8 = 0xff;

/// Words for text, the frequent ones first.
pub(super) struct Prose {
    words: Vec<String>,
}

impl Prose {
    pub(super) fn new() -> Self {
        const SYLLABLES: [&str; 24] = [
            "ra", "ten", "lo", "mi", "sor", "ve", "ka", "dun", "pe", "li", "tra", "go", "mer",
            "in", "su", "bo", "fa", "net", "qui", "os", "ha", "rel", "cy", "um",
        ];
        let mut numbers = Numbers::named("words");
        let word = |_| {
            let syllables = numbers.between(1, 4);
            (0..syllables)
                .map(|_| SYLLABLES[numbers.index(SYLLABLES.len())])
                .collect()
        };
        Self {
            words: (0..6000).map(word).collect(),
        }
    }

    /// Exactly `length` bytes of lines as a server logs them.
    pub(super) fn text(&self, numbers: &mut Numbers, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 256);
        let mut second = 1_700_000_000 + numbers.between(0, 30_000_000);
        while text.len() < length {
            second += numbers.between(0, 5);
            let host = numbers.between(1, 20);
            let process = numbers.between(100, 32_000);
            text.extend_from_slice(format!("{second} host{host:02} svc[{process}]:").as_bytes());
            for _ in 0..numbers.between(4, 14) {
                // Twice at random: the first words are by far the most frequent.
                let bound = numbers.index(self.words.len()) + 1;
                text.push(b' ');
                text.extend_from_slice(self.words[numbers.index(bound)].as_bytes());
            }
            let (id, count) = (numbers.next() >> 32, numbers.between(0, 99_999));
            text.extend_from_slice(format!(" id={id:08x} n={count}\n").as_bytes());
        }
        text.truncate(length);
        text
    }

    /// A page of rows, as database servers lay them out: a header, a table of places, a gap, and rows up to the end.
    pub(super) fn database_page(&self, numbers: &mut Numbers, number: u64) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        page[..8].copy_from_slice(&(number * 13).to_le_bytes());
        page[8..16].copy_from_slice(&number.to_le_bytes());
        let gap_end = numbers.length(480, 2780);
        let (mut place, mut end) = (24, PAGE_BYTES);
        while end > gap_end {
            let text_length = numbers.length(40, 150);
            let mut row = Vec::with_capacity(28 + text_length);
            row.extend_from_slice(&number.to_le_bytes());
            row.extend_from_slice(&[2, 9, 24, 0, 0, 0, 3, 1, 0, 0, 0, 0]);
            row.extend_from_slice(&numbers.next().to_le_bytes());
            row.extend_from_slice(&self.text(numbers, text_length));
            end -= row.len();
            page[end..end + row.len()].copy_from_slice(&row);
            let start = u16::try_from(end).expect("a place in a page");
            page[place..place + 2].copy_from_slice(&start.to_le_bytes());
            place += 4;
        }
        page
    }
}

pub(super) fn random(numbers: &mut Numbers, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    numbers.fill(&mut bytes);
    bytes
}

/// Stretches of skewed bytes, text and zeros: what programs and libraries look like to a compressor.
pub(super) fn program(prose: &Prose, numbers: &mut Numbers, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let piece = numbers.length(2000, 40_000).min(length - bytes.len());
        match numbers.index(8) {
            0 => bytes.resize(bytes.len() + piece, 0),
            1..=3 => bytes.extend(prose.text(numbers, piece)),
            _ => bytes.extend((0..piece).map(|_| {
                let [a, b, c, ..] = numbers.next().to_le_bytes();
                a & b & c
            })),
        }
    }
    bytes
}

/// 0 for what zstd 1 makes half of or less, 1 for what it reduces by at least a tenth, 2 for the rest.
pub(super) fn compressibility(bytes: &[u8]) -> Result<usize> {
    let compressed = zstd::bulk::compress(bytes, 1).context("cannot compress")?;
    let tenths = compressed.len() * 10 / bytes.len().max(1);
    Ok(usize::from(tenths >= 5) + usize::from(tenths >= 9))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// A database file of `pages` pages.
pub(super) fn write_database(
    path: &Path,
    pages: u64,
    prose: &Prose,
    numbers: &mut Numbers,
) -> Result<()> {
    write_pieces(path, pages, |number| {
        prose.database_page(numbers, number).to_vec()
    })
}

/// A large file of `extents` extents, text and random bytes in turn.
pub(super) fn write_store(
    path: &Path,
    extents: u64,
    prose: &Prose,
    numbers: &mut Numbers,
) -> Result<()> {
    write_pieces(path, extents, |number| {
        if number % 2 == 0 {
            prose.text(numbers, EXTENT_BYTES)
        } else {
            random(numbers, EXTENT_BYTES)
        }
    })
}

pub(super) fn extents(bytes: u64) -> u64 {
    bytes / EXTENT_BYTES as u64
}

/// A log of `full` MiB of text, with room for `room` MiB more.
pub(super) fn write_log(
    path: &Path,
    full: u64,
    room: u64,
    prose: &Prose,
    numbers: &mut Numbers,
) -> Result<()> {
    write_pieces(path, full + room, |number| {
        if number < full {
            prose.text(numbers, 1 << 20)
        } else {
            vec![FILLER; 1 << 20]
        }
    })
}

fn write_pieces(path: &Path, count: u64, mut piece: impl FnMut(u64) -> Vec<u8>) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(cannot)?);
    for number in 0..count {
        file.write_all(&piece(number)).with_context(cannot)?;
    }
    file.flush().with_context(cannot)
}

//! Computing anew what a damaged pack lost.

use std::collections::BTreeMap;

use super::encoder::Encoder;
use super::field::{add, inverse, power, products};
use super::record::Record;
use crate::hasher::{BlockHasher, inner_hash};
use crate::trailer::Trailer;
use crate::{Error, Result};

const TOO_MUCH: Error = Error::Malformed("more is lost than its parity can bring back");

/// The pack as it was written, from what is left of it. No key is needed: hashes of every block tell that the
/// result is right. Bytes that were never a pack with parity are refused.
pub fn heal(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let record = Record::find(&bytes)?;
    let length = bytes.len() as u64;
    let trailer = Trailer::decode(&bytes, length).ok();
    bytes.resize(record.layout.object_length(), 0);
    let mut lost = Lost::find(&record, &bytes);
    for (group, blocks) in std::mem::take(&mut lost.blocks) {
        heal_group(&record, &mut bytes, &lost, group, &blocks)?;
    }
    write_rest(&record, &mut bytes)?;
    let healed = Trailer::decode(&bytes, bytes.len() as u64)?;
    // A trailer that was whole knows better than the record.
    if trailer.is_some_and(|before| before != healed) {
        return Err(Error::Malformed(
            "its trailer and its parity contradict each other",
        ));
    }
    Ok(bytes)
}

struct Lost {
    /// Protected blocks by group.
    blocks: BTreeMap<usize, Vec<usize>>,
    /// For each parity block.
    parity: Vec<bool>,
}

impl Lost {
    fn find(record: &Record, bytes: &[u8]) -> Self {
        let layout = &record.layout;
        let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for block in 0..layout.blocks {
            if !is_whole(record, bytes, block) {
                let (group, _, _) = layout.place(block);
                blocks.entry(group).or_default().push(block);
            }
        }
        let parity = (0..layout.parity_blocks())
            .map(|number| {
                let range = layout.parity_range(number);
                inner_hash(0, &bytes[range]) != record.hashes[layout.blocks + number]
            })
            .collect();
        Self { blocks, parity }
    }
}

fn is_whole(record: &Record, bytes: &[u8], block: usize) -> bool {
    record.layout.block_hash(bytes, block) == record.hashes[block]
}

/// Brings back the lost blocks of one group.
fn heal_group(
    record: &Record,
    bytes: &mut [u8],
    lost: &Lost,
    group: usize,
    blocks: &[usize],
) -> Result<()> {
    let layout = &record.layout;
    let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for block in blocks {
        bytes[layout.block(*block)].fill(0);
        columns
            .entry(layout.place(*block).2)
            .or_default()
            .push(*block);
    }
    let (without, rows) = encode_group(record, bytes, group);
    for (column, blocks) in columns {
        let syndrome = |parity_row: usize| {
            let number = layout.parity_block(group, parity_row, column);
            if parity_row >= layout.shape.parity_rows || lost.parity[number] {
                return None;
            }
            let range = layout.parity_range(number);
            let mut difference = bytes[range].to_vec();
            let start = (parity_row * layout.shape.columns + column) * layout.shape.block_bytes;
            add(
                &mut difference,
                &without[start..][..layout.shape.block_bytes],
            );
            Some(difference)
        };
        let weight = |block: usize| power(rows - 1 - layout.place(block).1);
        let solved = match (blocks.as_slice(), syndrome(0), syndrome(1)) {
            ([block], Some(sum), _) => vec![(*block, sum)],
            ([block], None, Some(weighted)) => {
                vec![(*block, scaled(&weighted, inverse(weight(*block))))]
            }
            ([first, second], Some(sum), Some(weighted)) => {
                let (one, other) = solve(&sum, &weighted, weight(*first), weight(*second));
                vec![(*first, one), (*second, other)]
            }
            _ => return Err(TOO_MUCH),
        };
        for (block, content) in solved {
            let range = layout.block(block);
            let length = range.len();
            bytes[range].copy_from_slice(&content[..length]);
            if !is_whole(record, bytes, block) {
                return Err(TOO_MUCH);
            }
        }
    }
    Ok(())
}

/// The parity of one group as its bytes are now, and how many rows it has.
fn encode_group(record: &Record, bytes: &[u8], group: usize) -> (Vec<u8>, usize) {
    let layout = &record.layout;
    let group_bytes = layout.shape.row_bytes() * layout.shape.rows;
    let shift = layout.shift_bytes();
    let start = (group * group_bytes).saturating_sub(shift);
    let end = layout.protected.min((group + 1) * group_bytes - shift);
    let mut encoder = Encoder::new(layout.shape);
    let skipped = if group == 0 { shift } else { 0 };
    encoder.skip(skipped);
    encoder.update(&bytes[start..end]);
    let rows = (skipped + end - start).div_ceil(layout.shape.row_bytes());
    (encoder.finish(), rows)
}

/// Two lost blocks from their sum and their weighted sum.
fn solve(sum: &[u8], weighted: &[u8], first: u8, second: u8) -> (Vec<u8>, Vec<u8>) {
    // weighted + second * sum = (first + second) * one
    let mut one = scaled(sum, second);
    add(&mut one, weighted);
    let one = scaled(&one, inverse(first ^ second));
    let mut other = one.clone();
    add(&mut other, sum);
    (one, other)
}

fn scaled(bytes: &[u8], factor: u8) -> Vec<u8> {
    let table = products(factor);
    bytes.iter().map(|byte| table[usize::from(*byte)]).collect()
}

/// Everything behind the protected bytes follows from them and from the record.
fn write_rest(record: &Record, bytes: &mut Vec<u8>) -> Result<()> {
    let layout = &record.layout;
    bytes.truncate(layout.protected);
    let parity = layout.encode(bytes);
    let hashes = layout.parity_hashes(&parity);
    if !hashes.eq(record.hashes[layout.blocks..].iter().copied()) {
        return Err(TOO_MUCH);
    }
    let encoded = record.encode();
    bytes.extend(&encoded);
    bytes.resize(layout.parity_start(), 0);
    bytes.extend(parity);
    bytes.extend(encoded);
    let mut hasher = BlockHasher::default();
    hasher.update(bytes);
    let body_length = bytes.len() as u64;
    let trailer = Trailer::encode(
        &record.header,
        body_length,
        &record.sections,
        &hasher.finish(),
    );
    bytes.extend(trailer);
    Ok(())
}

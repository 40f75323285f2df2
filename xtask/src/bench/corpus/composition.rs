//! What an image consists of and how much of it changed, measured rather than believed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::content;

const BLOCK: usize = 4096;
const PIECE: usize = 64 << 10;
const BUFFER: usize = 4 << 20;
/// Of this many non-zero pieces one is compressed.
const SAMPLE: u64 = 8;

/// Shares of an image, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct Composition {
    pub(in crate::bench) zero_blocks: f64,
    /// Of the pieces of 64 KiB: all zero; halved by zstd 1; reduced by at least a tenth; the others.
    pub(in crate::bench) pieces: [f64; 4],
}

/// How much of an image differs from the day before.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Change {
    /// In blocks of 4 KiB.
    pub(in crate::bench) bytes: u64,
    /// Shares of the pieces of 4 KiB, 64 KiB, 1 MiB and 4 MiB that hold a change, in percent.
    pub(in crate::bench) touched: [f64; 4],
}

pub(super) fn measure(image: &Path) -> Result<Composition> {
    let (mut zero_blocks, mut zero_pieces, mut others) = (0_u64, 0_u64, 0_u64);
    let mut classes = [0_u64; 3];
    let mut bytes = 0;
    for_each_buffer([image], |[buffer]| {
        bytes += buffer.len() as u64;
        for piece in buffer.chunks(PIECE) {
            let blocks = piece.chunks(BLOCK);
            let zeros = blocks.filter(|block| is_zero(block)).count();
            zero_blocks += zeros as u64;
            if zeros * BLOCK == piece.len() {
                zero_pieces += 1;
                continue;
            }
            others += 1;
            if others.is_multiple_of(SAMPLE) {
                classes[content::compressibility(piece)?] += 1;
            }
        }
        Ok(())
    })?;
    let pieces = zero_pieces + others;
    let sampled = classes.iter().sum::<u64>().max(1);
    let of_class = |count: u64| percent(count, sampled) * percent(others, pieces) / 100.0;
    let [halved, reduced, kept] = classes.map(of_class);
    Ok(Composition {
        zero_blocks: percent(zero_blocks * BLOCK as u64, bytes),
        pieces: [percent(zero_pieces, pieces), halved, reduced, kept],
    })
}

pub(super) fn compare(before: &Path, after: &Path) -> Result<Change> {
    const SIZES: [usize; 4] = [BLOCK, PIECE, 1 << 20, BUFFER];
    let mut touched = [0_u64; 4];
    let mut bytes = 0;
    for_each_buffer([before, after], |[before, after]| {
        bytes += after.len() as u64;
        for (count, size) in touched.iter_mut().zip(SIZES) {
            let pairs = before.chunks(size).zip(after.chunks(size));
            *count += pairs.filter(|(before, after)| before != after).count() as u64;
        }
        Ok(())
    })?;
    let shares = std::array::from_fn(|at| percent(touched[at] * SIZES[at] as u64, bytes));
    Ok(Change {
        bytes: touched[0] * BLOCK as u64,
        touched: shares,
    })
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

/// Reads images of one size side by side.
fn for_each_buffer<const N: usize>(
    images: [&Path; N],
    mut visit: impl FnMut([&[u8]; N]) -> Result<()>,
) -> Result<()> {
    let mut files = Vec::new();
    for image in images {
        let cannot = || format!("cannot open {}", image.display());
        files.push(File::open(image).with_context(cannot)?);
    }
    let end = files[0]
        .metadata()
        .context("cannot look at an image")?
        .len();
    let mut buffers: [Vec<u8>; N] = std::array::from_fn(|_| vec![0; BUFFER]);
    let mut position = 0;
    while position < end {
        let length = usize::try_from(end - position).map_or(BUFFER, |left| left.min(BUFFER));
        for (file, buffer) in files.iter().zip(&mut buffers) {
            file.read_exact_at(&mut buffer[..length], position)
                .context("cannot read an image")?;
        }
        visit(std::array::from_fn(|at| &buffers[at][..length]))?;
        position += length as u64;
    }
    Ok(())
}

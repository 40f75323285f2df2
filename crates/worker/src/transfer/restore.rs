use bytes::Bytes;
use strongroom_block::{BlockSink, ExtentKind};
use strongroom_repo::{Content, PointId, PointReader, Repository, Segment};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{PIECE_BYTES, PIECES_IN_FLIGHT, Progress, TransferError};

/// The unit in which a restore compares and writes: small enough to leave neighbours alone, large enough for
/// sequential speed.
const COMPARE_BYTES: usize = 64 << 10;

/// What a restore did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Size of the point.
    pub size_bytes: u64,
    /// Bytes that differed and were written or zeroed.
    pub written_bytes: u64,
}

/// Makes `sink` read like the point, writing only what differs; bytes behind the point's end are left alone.
///
/// Durable when it returns. Stopped half way, it can simply be run again.
pub async fn restore(
    repository: &Repository,
    point: &PointId,
    sink: Box<dyn BlockSink>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored, TransferError> {
    let mut reader = repository
        .read_point_in_any_order(point)
        .await
        .map_err(TransferError::Repository)?;
    let (point_bytes, target_bytes) = (reader.size_bytes(), sink.size_bytes());
    if target_bytes < point_bytes {
        return Err(TransferError::TargetTooSmall {
            target_bytes,
            point_bytes,
        });
    }
    let (sender, segments) = mpsc::channel(PIECES_IN_FLIGHT);
    let writing = tokio::task::spawn_blocking(move || write_segments(sink, segments));
    let fed = feed(&mut reader, sender, progress, cancel).await;
    let written = writing.await.map_err(|_| TransferError::Broken)?;
    // The disk's own error explains why feeding it stopped, so it goes first.
    let written_bytes = written.map_err(TransferError::Disk)?;
    fed?;
    Ok(Restored {
        size_bytes: point_bytes,
        written_bytes,
    })
}

async fn feed(
    reader: &mut PointReader,
    segments: mpsc::Sender<Segment>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<(), TransferError> {
    loop {
        let next = tokio::select! {
            () = cancel.cancelled() => return Err(TransferError::Cancelled),
            next = reader.next() => next.map_err(TransferError::Repository)?,
        };
        let Some(segment) = next else { return Ok(()) };
        let length = length_of(&segment);
        if segments.send(segment).await.is_err() {
            // The writer's result, read by the caller, says why it stopped listening.
            return Ok(());
        }
        progress.advance(length);
    }
}

fn length_of(segment: &Segment) -> u64 {
    match &segment.content {
        Content::Data(data) => data.len() as u64,
        Content::Hole(length) => *length,
    }
}

fn write_segments(
    mut sink: Box<dyn BlockSink>,
    mut segments: mpsc::Receiver<Segment>,
) -> strongroom_block::Result<u64> {
    let mut target = Target {
        blank: sink.starts_blank(),
        sink: sink.as_mut(),
        buffer: vec![0; COMPARE_BYTES],
        written_bytes: 0,
    };
    while let Some(segment) = segments.blocking_recv() {
        match segment.content {
            Content::Data(data) => target.write_data(segment.offset, &data)?,
            Content::Hole(length) => target.write_hole(segment.offset, length)?,
        }
    }
    let written_bytes = target.written_bytes;
    sink.flush()?;
    Ok(written_bytes)
}

struct Target<'a> {
    sink: &'a mut dyn BlockSink,
    /// Nothing to compare with: what was not written is zero.
    blank: bool,
    buffer: Vec<u8>,
    written_bytes: u64,
}

impl Target<'_> {
    /// Compares piece by piece and writes the pieces that differ; a hole in the target is not read.
    fn write_data(&mut self, offset: u64, data: &Bytes) -> strongroom_block::Result<()> {
        if self.blank {
            return self.write(offset, data);
        }
        let mut at = 0;
        while at < data.len() {
            let here = offset + at as u64;
            let extent = self.sink.next_extent(here)?.up_to((data.len() - at) as u64);
            let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
            let run = &data[at..at + length];
            match extent.kind {
                ExtentKind::Hole => self.write(here, run)?,
                ExtentKind::Data => self.write_differing(here, run)?,
            }
            at += length;
        }
        Ok(())
    }

    fn write_differing(&mut self, offset: u64, data: &[u8]) -> strongroom_block::Result<()> {
        for (n, piece) in data.chunks(COMPARE_BYTES).enumerate() {
            let here = offset + (n * COMPARE_BYTES) as u64;
            let current = &mut self.buffer[..piece.len()];
            self.sink.read_at(here, current)?;
            if current != piece {
                self.write(here, piece)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> strongroom_block::Result<()> {
        self.sink.write_at(offset, data)?;
        self.written_bytes += data.len() as u64;
        Ok(())
    }

    /// Zeroes what is not zero yet; holes stay holes.
    fn write_hole(&mut self, offset: u64, length: u64) -> strongroom_block::Result<()> {
        if self.blank {
            return Ok(());
        }
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let extent = self.sink.next_extent(at)?.up_to(end - at);
            if extent.kind == ExtentKind::Data {
                self.zero_nonzero(at, extent.length)?;
            }
            at += extent.length;
        }
        Ok(())
    }

    fn zero_nonzero(&mut self, offset: u64, length: u64) -> strongroom_block::Result<()> {
        let mut done = 0;
        while done < length {
            let piece = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(COMPARE_BYTES);
            let current = &mut self.buffer[..piece];
            self.sink.read_at(offset + done, current)?;
            if current.iter().any(|byte| *byte != 0) {
                self.sink.zero_range(offset + done, piece as u64)?;
                self.written_bytes += piece as u64;
            }
            done += piece as u64;
        }
        Ok(())
    }
}

/// Streams the point's bytes, holes as zeros, to `output`; for standard output and pipes.
pub async fn write_out(
    repository: &Repository,
    point: &PointId,
    output: &mut (dyn AsyncWrite + Unpin + Send),
    progress: &Progress,
) -> Result<Restored, TransferError> {
    let mut reader = repository
        .read_point(point)
        .await
        .map_err(TransferError::Repository)?;
    let zeros = vec![0; PIECE_BYTES];
    while let Some(segment) = reader.next().await.map_err(TransferError::Repository)? {
        progress.advance(length_of(&segment));
        match segment.content {
            Content::Data(data) => output
                .write_all(&data)
                .await
                .map_err(TransferError::Output)?,
            Content::Hole(mut left) => {
                while left > 0 {
                    let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
                    output
                        .write_all(&zeros[..piece])
                        .await
                        .map_err(TransferError::Output)?;
                    left -= piece as u64;
                }
            }
        }
    }
    output.flush().await.map_err(TransferError::Output)?;
    let size_bytes = reader.size_bytes();
    Ok(Restored {
        size_bytes,
        written_bytes: size_bytes,
    })
}

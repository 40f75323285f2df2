use crossbeam_channel::Receiver;
use strongroom_chunk::FrameCompressor;

use super::cut::FrameJob;

pub(super) fn compress_frames(jobs: &Receiver<FrameJob>, level: i32) {
    let mut compressor = FrameCompressor::new(level);
    for job in jobs {
        let compressed = compressor.compress(&job.plain);
        if job.reply.send(compressed).is_err() {
            // The assembler stopped and nobody will ask again.
            return;
        }
    }
}

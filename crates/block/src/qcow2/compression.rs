use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::header::Compression;

/// Clusters have 2 MiB at most, so no honest frame needs a larger window.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

impl Compression {
    /// Fills `cluster` from `input`, which may have bytes to spare at its end; false if it cannot.
    pub(super) fn decompress(self, input: &[u8], cluster: &mut [u8]) -> bool {
        match self {
            Self::Zlib => {
                let mut inflate = Decompress::new(false);
                let result = inflate.decompress(input, cluster, FlushDecompress::Finish);
                result.is_ok() && inflate.total_out() == cluster.len() as u64
            }
            Self::Zstd => unzstd(input, cluster).is_ok_and(|written| written == cluster.len()),
        }
    }
}

fn unzstd(mut input: &[u8], cluster: &mut [u8]) -> std::io::Result<usize> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    let mut written = 0;
    while written < cluster.len() {
        let status = decoder.run_on_buffers(input, &mut cluster[written..])?;
        if status.bytes_read == 0 && status.bytes_written == 0 {
            break;
        }
        input = &input[status.bytes_read..];
        written += status.bytes_written;
    }
    Ok(written)
}

//! Points as disks that machines run from.
//!
//! A [`PointExport`] serves a point, read-only. An [`Overlay`] lies over it and keeps what is written, in a file on a
//! local disk. [`bind`] makes the socket where `strongroom-nbd` serves either.

mod export;
mod overlay;
mod socket;

pub use export::PointExport;
pub use overlay::{Error, Overlay};
pub use socket::bind;

#[cfg(test)]
mod tests;

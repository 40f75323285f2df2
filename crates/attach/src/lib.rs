//! Points as disks that machines run from.
//!
//! A [`PointExport`] serves a point, read-only. An [`Overlay`] lies over it and keeps what is written, in a file on a
//! local disk. [`OpenPoint::serve`] serves either at a socket, or as one of
//! the exports of a server.

mod export;
mod overlay;
mod served;
mod socket;
mod start;

pub use export::PointExport;
pub use overlay::{Error, Overlay};
pub use served::{OpenPoint, Place, Plan, ServeError, ServedPoint, remove_socket};
pub use socket::bind;

#[cfg(test)]
mod tests;

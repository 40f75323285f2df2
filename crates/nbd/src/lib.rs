//! Network block devices: the protocol, a client and a server.
//!
//! A [`Client`] reads and writes an export of somebody else, a [`Reader`] reads it from front to back with many
//! requests in flight. A [`Server`] serves what implements [`Export`]. All calls block; there is no runtime here.
//!
//! The protocol is that of <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>: fixed newstyle with
//! structured replies and block status where both sides know them, and TLS with certificates of both sides.

mod client;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod proto;
mod server;
mod stream;
mod target;
mod tls;

pub use client::{
    Ahead, Client, ClientOptions, Content, ExportInfo, Extents, LeftOut, Piece, Reader, Selection,
    StatusExtent, Ticket, list,
};
pub use error::{Error, Result};
pub use proto::{BASE_ALLOCATION, BlockSizes, ErrorCode, Listed, TransmissionFlags};
pub use server::{Allocation, Export, Fault, Limits, Listener, Offer, Server, Stretch, Writable};
pub use target::{Address, Target};
pub use tls::Credentials;

#[cfg(test)]
mod tests;

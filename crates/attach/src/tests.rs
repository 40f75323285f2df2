#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

mod overlay;
mod sockets;

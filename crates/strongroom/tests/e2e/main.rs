//! The real binary with real disks, real clients and real crashes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what clients and servers said explains a failure"
)]

mod api;
mod attach;
mod clients;
mod copied_out;
mod deletion;
mod disks;
mod exports;
mod face;
mod full_disk;
mod hooks;
mod import;
mod instant;
mod keys;
mod kill;
mod live;
mod machine_hook;
mod machines;
mod mounted;
mod new_server;
mod over_tls;
mod pages;
mod prove;
mod recover;
mod replicate;
mod repo;
mod repo_crowd;
mod repo_kills;
mod repo_places;
mod restore;
mod s3;
mod seed;
mod server;
mod sharing;
mod vault_verbs;
mod verbs;

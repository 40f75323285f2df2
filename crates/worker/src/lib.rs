//! Claims jobs and runs their bodies: the only place where database, repository and disks meet.

mod attachments;
mod blocks;
mod clock;
mod contents;
pub mod definitions;
mod disks;
mod exports;
mod guests;
mod images;
mod jobs;
mod lease;
mod live;
mod machine_hook;
pub mod metrics;
mod new_servers;
pub mod notify;
pub mod places;
mod private_file;
mod prove;
pub mod recovery;
mod replicas;
mod repositories;
mod runner;
mod shared_folder;
pub mod transfer;
mod upkeep;

pub use attachments::AttachmentKeeper;
pub use contents::StoredContents;
pub use disks::LocalDisks;
pub use guests::LocalGuests;
pub use live::{LiveHost, LocalMachines, Watch};
pub use machine_hook::MachineHook;
pub use private_file::write_private;
pub use prove::{DiskBus, ProveOptions, Prover};
pub use replicas::StoredReplicas;
pub use repositories::{Repositories, RepositoryError, StorageUnit};
pub use runner::{Worker, take_over};

#[cfg(test)]
mod tests;

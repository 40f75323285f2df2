//! Claims jobs and runs their bodies: the only place where database, repository and disks meet.

mod disks;
mod jobs;
mod lease;
pub mod metrics;
mod private_file;
mod repositories;
mod runner;
pub mod transfer;
mod upkeep;

pub use disks::LocalDisks;
pub use private_file::write_private;
pub use repositories::{Repositories, RepositoryError};
pub use runner::{Worker, take_over};

#[cfg(test)]
mod tests;

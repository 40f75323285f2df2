//! Fixtures that several crates' tests share: databases of both kinds, stores and a proxy that fail, an S3
//! server, NBD servers of others, certificates, running machines and monitors that fail, a clock that tests move, known ids.

mod aging_store;
mod bad_sectors;
mod certificates;
mod counting_store;
mod database;
mod failing_store;
mod fault_proxy;
mod firmware;
mod guest_files;
mod libvirt;
mod mock;
mod monitor_proxy;
mod nbd_peer;
mod power_cut;
mod qemu_machine;
mod seaweedfs;

pub use aging_store::AgingStore;
pub use bad_sectors::BadSectors;
pub use certificates::Authority;
pub use counting_store::{Call, CountingStore};
pub use database::{TestDatabase, test_databases};
pub use failing_store::{FailingStore, Fault};
pub use fault_proxy::{FaultProxy, ProxyFault};
pub use firmware::idle_firmware;
pub use guest_files::{CORRECTED, check_guest_disk, check_guest_disks};
pub use libvirt::Libvirt;
pub use mock::{MockClock, SeededIds};
pub use monitor_proxy::{MonitorFault, MonitorProxy};
pub use nbd_peer::NbdPeer;
pub use power_cut::PowerCut;
pub use qemu_machine::{QemuMachine, make_file_system};
pub use seaweedfs::{SeaweedFs, Shape, s3_server};

mod agent;
mod counting_guest;
mod failures;
mod machine;
mod peers;
mod qmp;
mod snapshot;
mod world;

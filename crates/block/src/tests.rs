mod damage;
mod locks;
pub(crate) mod power;
mod power_cut;
mod qcow2_model;
mod qcow2_read;
mod qcow2_write;
mod qemu;
mod raw;

mod damage;
mod locks;
mod qcow2_read;
mod qemu;
mod raw;

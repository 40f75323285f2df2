mod fixtures;
mod hostile;
mod nbdkit;
mod qemu;
mod round_trip;
mod served;
mod target;
mod words;

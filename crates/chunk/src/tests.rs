mod cutting;
mod hostile;
mod packing;
mod parity;
mod segments;
mod vectors;

mod cutting;
mod hostile;
mod packing;
mod vectors;

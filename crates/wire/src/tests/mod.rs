mod identity;
mod shapes;
mod signing;
mod values;

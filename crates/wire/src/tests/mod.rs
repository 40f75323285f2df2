mod identity;
mod signing;

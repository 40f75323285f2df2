//! The CBR v3 and identity contracts: request and response shapes, error codes, request signatures.

pub mod signing;

#[cfg(test)]
mod tests;

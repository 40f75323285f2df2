//! Arithmetic in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, in which 2 generates all numbers but 0.

const MODULUS: u8 = 0x1d;

/// Twice `value`.
fn double(value: u8) -> u8 {
    (value << 1) ^ (MODULUS & 0u8.wrapping_sub(value >> 7))
}

pub(super) fn multiply(mut left: u8, mut right: u8) -> u8 {
    let mut product = 0;
    while right != 0 {
        if right & 1 != 0 {
            product ^= left;
        }
        left = double(left);
        right >>= 1;
    }
    product
}

/// 2 to the `exponent`.
pub(super) fn power(exponent: usize) -> u8 {
    (0..exponent % 255).fold(1, |value, _| double(value))
}

/// `value` must not be 0.
pub(super) fn inverse(value: u8) -> u8 {
    // Every such number to the 255 is 1.
    (0..254).fold(1, |product, _| multiply(product, value))
}

/// All products with `factor`.
pub(super) fn products(factor: u8) -> [u8; 256] {
    let mut table = [0; 256];
    for (product, value) in table.iter_mut().zip(0..=u8::MAX) {
        *product = multiply(factor, value);
    }
    table
}

pub(super) fn add(sum: &mut [u8], bytes: &[u8]) {
    for (sum, byte) in sum.iter_mut().zip(bytes) {
        *sum ^= byte;
    }
}

/// One step of Horner's rule for each byte: twice `sum`, and `bytes` added.
pub(super) fn double_and_add(sum: &mut [u8], bytes: &[u8]) {
    for (sum, byte) in sum.iter_mut().zip(bytes) {
        *sum = double(*sum) ^ byte;
    }
}

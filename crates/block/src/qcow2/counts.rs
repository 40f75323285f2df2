//! A refcount block in memory: numbers of 1 to 64 bits, packed.

#[derive(Debug)]
pub(super) struct Counts {
    bytes: Vec<u8>,
    /// A number is `1 << order` bits wide.
    order: u32,
    pub(super) is_dirty: bool,
    pub(super) last_use: u64,
}

impl Counts {
    pub(super) fn new(bytes: Vec<u8>, order: u32) -> Self {
        Self {
            bytes,
            order,
            is_dirty: false,
            last_use: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        if self.order < 3 {
            let (byte, shift, mask) = self.place(index);
            return u64::from(self.bytes[byte] >> shift & mask);
        }
        let width = 1 << (self.order - 3);
        let field = &self.bytes[index * width..(index + 1) * width];
        field.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
    }

    /// `count` must fit into the width.
    pub(super) fn set(&mut self, index: usize, count: u64) {
        self.is_dirty = true;
        let big_endian = count.to_be_bytes();
        if self.order < 3 {
            let (byte, shift, mask) = self.place(index);
            let others = self.bytes[byte] & !(mask << shift);
            self.bytes[byte] = others | (big_endian[7] & mask) << shift;
            return;
        }
        let width = 1 << (self.order - 3);
        self.bytes[index * width..(index + 1) * width].copy_from_slice(&big_endian[8 - width..]);
    }

    /// Where a number narrower than a byte lies; the first one is in the lowest bits.
    fn place(&self, index: usize) -> (usize, usize, u8) {
        let width = 1 << self.order;
        let per_byte = 8 / width;
        let mask = u8::MAX >> (8 - width);
        (index / per_byte, index % per_byte * width, mask)
    }

    /// The first number from `start` on, below `end`, that is zero.
    pub(super) fn first_zero(&self, start: usize, end: usize) -> Option<usize> {
        (start..end).find(|&index| self.get(index) == 0)
    }
}

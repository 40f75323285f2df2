use super::field::{add, double_and_add};
use super::shape::Shape;

/// Computes parity while the protected bytes pass, in memory of two rows beside the parity itself.
#[derive(Debug)]
pub(crate) struct Encoder {
    shape: Shape,
    /// Bytes of the open group so far.
    position: usize,
    /// Parity rows of the open group.
    sum: Vec<u8>,
    weighted: Vec<u8>,
    done: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(shape: Shape) -> Self {
        let weighted_bytes = (shape.parity_rows - 1) * shape.row_bytes();
        Self {
            shape,
            position: 0,
            sum: vec![0; shape.row_bytes()],
            weighted: vec![0; weighted_bytes],
            done: Vec::new(),
        }
    }

    /// As if so many zero bytes had come; fewer than a row, before anything else.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.position += bytes;
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = self.position % self.shape.row_bytes();
            let length = bytes.len().min(self.shape.row_bytes() - at);
            let (head, rest) = bytes.split_at(length);
            add(&mut self.sum[at..at + length], head);
            if !self.weighted.is_empty() {
                double_and_add(&mut self.weighted[at..at + length], head);
            }
            self.position += length;
            if self.position == self.shape.row_bytes() * self.shape.rows {
                self.close_group();
            }
            bytes = rest;
        }
    }

    /// The parity of all groups; zeros fill the last row.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let filled = self.position % self.shape.row_bytes();
        if filled > 0 {
            let zeros = vec![0; self.shape.row_bytes() - filled];
            self.update(&zeros);
        }
        if self.position > 0 {
            self.close_group();
        }
        self.done
    }

    fn close_group(&mut self) {
        for row in [&mut self.sum, &mut self.weighted] {
            self.done.extend_from_slice(row);
            row.fill(0);
        }
        self.position = 0;
    }
}

use bytes::Bytes;

/// The plain bytes of a frame that is being filled. As long as possible they stay where they were read.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// The first bytes, if they had to be copied.
    own: Vec<u8>,
    /// The bytes behind them.
    shared: Vec<Bytes>,
    length: usize,
}

impl Plain {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Adds a chunk that may lie in `portion`.
    pub(super) fn push(&mut self, portion: &Bytes, chunk: &Bytes) {
        self.length += chunk.len();
        match self.shared.last_mut() {
            Some(last) => match adjoining(portion, last, chunk) {
                Some(both) => *last = both,
                None => self.shared.push(chunk.clone()),
            },
            None => self.shared.push(chunk.clone()),
        }
    }

    /// Copies what is shared, so that a frame that fills slowly does not hold on to portion after portion.
    pub(super) fn detach(&mut self) {
        for part in self.shared.drain(..) {
            self.own.extend_from_slice(&part);
        }
    }

    /// All bytes in one piece, brought together in `joined` if they are not.
    pub(super) fn bytes<'a>(&'a self, joined: &'a mut Vec<u8>) -> &'a [u8] {
        match (self.own.as_slice(), self.shared.as_slice()) {
            (own, []) => own,
            ([], [one]) => one,
            (own, parts) => {
                joined.clear();
                joined.extend_from_slice(own);
                for part in parts {
                    joined.extend_from_slice(part);
                }
                joined
            }
        }
    }
}

/// Two parts as one, if the second follows the first in the memory of `portion`.
fn adjoining(portion: &Bytes, first: &Bytes, second: &Bytes) -> Option<Bytes> {
    let begin = portion.as_ptr().addr();
    let start = first.as_ptr().addr().checked_sub(begin)?;
    let middle = second.as_ptr().addr().checked_sub(begin)?;
    let end = middle.checked_add(second.len())?;
    (start + first.len() == middle && end <= portion.len()).then(|| portion.slice(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_the_same_shared_joined_and_copied() {
        let portion = Bytes::from((0..=255).collect::<Vec<u8>>());
        let elsewhere = Bytes::from_static(b"elsewhere");
        let parts = [
            portion.slice(0..10),
            portion.slice(10..30),
            elsewhere,
            portion.slice(40..41),
        ];
        let expected = parts.concat();
        for detached_after in 0..=parts.len() {
            let mut plain = Plain::default();
            for (number, part) in parts.iter().enumerate() {
                plain.push(&portion, part);
                if number + 1 == detached_after {
                    plain.detach();
                }
            }
            assert_eq!(plain.len(), expected.len());
            assert_eq!(plain.bytes(&mut vec![7]), expected);
        }
    }

    #[test]
    fn neighbours_are_not_copied() {
        let portion = Bytes::from(vec![1; 100]);
        let mut plain = Plain::default();
        plain.push(&portion, &portion.slice(0..50));
        plain.push(&portion, &portion.slice(50..100));
        let mut joined = Vec::new();
        assert_eq!(plain.bytes(&mut joined).as_ptr(), portion.as_ptr());
        assert!(joined.is_empty());
    }
}

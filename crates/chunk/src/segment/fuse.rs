//! Binary fuse filters (Graf and Lemire, 2022): a byte and an eighth for each key, and three bytes read to learn that a
//! key is not there. One of 256 strangers is let through.

/// Segments beyond this would spread the three bytes further without making the filter smaller.
const SEGMENT_LENGTH_MAX: u32 = 1 << 18;
const SEGMENT_LENGTH_MIN: u32 = 4;
/// Attempts with the same size, before the filter is made larger.
const ATTEMPTS: u64 = 8;

/// What is needed besides the fingerprints to ask a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// A power of two.
    pub(crate) segment_length: u32,
    /// Segments in which a key's first byte may lie; two more follow them.
    pub(crate) segment_count: u32,
}

/// One question to one filter. Whoever has many works them all out before looking at any bytes: then the reads wait
/// for the memory together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe {
    places: [usize; 3],
    fingerprint: u8,
}

impl Probe {
    /// May the key be in the filter with these fingerprints? True if they are not of the filter's shape: such a
    /// filter rules nothing out.
    #[inline]
    pub fn matches(&self, fingerprints: &[u8]) -> bool {
        let [a, b, c] = self.places.map(|place| fingerprints.get(place));
        match (a, b, c) {
            (Some(a), Some(b), Some(c)) => self.fingerprint == a ^ b ^ c,
            _ => true,
        }
    }

    /// The same question to bytes of which the filter's are a part, from `start` on.
    #[inline]
    #[must_use]
    pub fn behind(self, start: usize) -> Self {
        Self {
            places: self.places.map(|place| place.saturating_add(start)),
            ..self
        }
    }
}

impl Shape {
    /// Nothing for lengths that no writer makes.
    pub(crate) fn new(seed: u64, segment_length: u32, segment_count: u32) -> Option<Self> {
        let lengths = SEGMENT_LENGTH_MIN..=SEGMENT_LENGTH_MAX;
        let sound = segment_length.is_power_of_two()
            && lengths.contains(&segment_length)
            && (1..=u32::MAX / SEGMENT_LENGTH_MAX - 2).contains(&segment_count);
        sound.then_some(Self {
            seed,
            segment_length,
            segment_count,
        })
    }

    /// The smallest filter that most likely holds so many keys.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes of a partition, far below 2^32 and never negative; the reader takes them from the object"
    )]
    fn fitting(keys: usize) -> Self {
        let count = keys.max(2) as f64;
        let exponent = (count.ln() / 3.33f64.ln() + 2.25).floor() as u32;
        let segment_length = (1 << exponent.min(18)).clamp(SEGMENT_LENGTH_MIN, SEGMENT_LENGTH_MAX);
        let factor = (0.875 + 0.25 * 1e6f64.ln() / count.ln()).max(1.125);
        let slots = (count * factor).ceil() as u32;
        Self {
            seed: 0,
            segment_length,
            segment_count: slots.div_ceil(segment_length).saturating_sub(2).max(1),
        }
    }

    pub(crate) fn fingerprint_bytes(&self) -> usize {
        let segments = u64::from(self.segment_count) + 2;
        usize::try_from(segments * u64::from(self.segment_length)).expect("bounded by `new`")
    }

    /// Where to look for a key, worked out before any byte of the filter is touched.
    #[inline]
    pub(crate) fn probe(&self, key: u64) -> Probe {
        let hash = self.hash(key);
        Probe {
            places: self.places(hash),
            fingerprint: fingerprint(hash),
        }
    }

    #[inline]
    fn hash(&self, key: u64) -> u64 {
        let mut hash = key.wrapping_add(self.seed);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }

    /// One place in each of three neighbouring segments.
    #[inline]
    fn places(&self, hash: u64) -> [usize; 3] {
        let length = u64::from(self.segment_length);
        let firsts = u64::from(self.segment_count) * length;
        let first = ((u128::from(hash) * u128::from(firsts)) >> 64) as u64;
        let second = (first + length) ^ ((hash >> 18) & (length - 1));
        let third = (first + 2 * length) ^ (hash & (length - 1));
        [first, second, third].map(|place| usize::try_from(place).expect("bounded by `new`"))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fingerprint is eight bits of the hash"
)]
#[inline]
fn fingerprint(hash: u64) -> u8 {
    (hash ^ (hash >> 32)) as u8
}

/// A filter of these keys. The same keys in the same order give the same bytes.
pub(crate) fn build(keys: &mut Vec<u64>) -> (Shape, Vec<u8>) {
    let mut shape = Shape::fitting(keys.len());
    let mut attempt = 0u64;
    loop {
        shape.seed = attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Some(fingerprints) = attempt_build(&shape, keys) {
            return (shape, fingerprints);
        }
        attempt += 1;
        if attempt == ATTEMPTS / 2 {
            // No filter takes the same key twice.
            keys.sort_unstable();
            keys.dedup();
        }
        if attempt.is_multiple_of(ATTEMPTS) {
            shape.segment_count += 1 + shape.segment_count / 8;
        }
    }
}

/// Takes away keys that have a place for themselves until none is left, then fills their places in the other order.
fn attempt_build(shape: &Shape, keys: &[u64]) -> Option<Vec<u8>> {
    let size = shape.fingerprint_bytes();
    let mut count = vec![0u32; size];
    let mut hashes = vec![0u64; size];
    for key in keys {
        let hash = shape.hash(*key);
        for place in shape.places(hash) {
            count[place] += 1;
            hashes[place] ^= hash;
        }
    }
    let mut alone: Vec<usize> = (0..size).filter(|place| count[*place] == 1).collect();
    let mut order = Vec::with_capacity(keys.len());
    while let Some(place) = alone.pop() {
        if count[place] != 1 {
            continue;
        }
        let hash = hashes[place];
        order.push((hash, place));
        for other in shape.places(hash) {
            count[other] -= 1;
            hashes[other] ^= hash;
            if count[other] == 1 {
                alone.push(other);
            }
        }
    }
    if order.len() != keys.len() {
        return None;
    }
    let mut fingerprints = vec![0u8; size];
    for (hash, place) in order.into_iter().rev() {
        let [a, b, c] = shape.places(hash).map(|place| fingerprints[place]);
        // The place itself is still zero.
        fingerprints[place] = fingerprint(hash) ^ a ^ b ^ c;
    }
    Some(fingerprints)
}

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Buffers of one size that come back when the last slice of their bytes is dropped: memory that was just used
/// is in the processor's cache, and memory that is new to the process costs as much as reading the disk.
#[derive(Debug, Clone)]
pub struct Buffers(Arc<Home>);

#[derive(Debug)]
struct Home {
    buffer_bytes: usize,
    idle_max: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

/// Bytes that are being filled; whatever they were before.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Arc<Home>,
}

impl Buffers {
    /// Keeps up to `idle_max` buffers of `buffer_bytes` for the next user.
    pub fn new(buffer_bytes: usize, idle_max: usize) -> Self {
        Self(Arc::new(Home {
            buffer_bytes,
            idle_max,
            idle: Mutex::default(),
        }))
    }

    /// A buffer of `length` bytes; memory of its own if that is more than the others have.
    pub fn take(&self, length: usize) -> Buffer {
        let home = &self.0;
        let idle = if length <= home.buffer_bytes {
            home.lock().pop()
        } else {
            None
        };
        Buffer {
            bytes: idle.unwrap_or_else(|| vec![0; length.max(home.buffer_bytes)]),
            length,
            home: Arc::clone(home),
        }
    }
}

impl Home {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.lock();
        if idle.len() < self.home.idle_max && self.bytes.len() == self.home.buffer_bytes {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_its_last_slice() {
        let buffers = Buffers::new(100, 1);
        let mut buffer = buffers.take(10);
        buffer.bytes_mut().fill(7);
        let bytes = buffer.freeze();
        let slice = bytes.slice(3..5);
        drop(bytes);
        assert!(buffers.0.lock().is_empty());
        assert_eq!(slice, [7, 7].as_slice());
        drop(slice);
        assert_eq!(buffers.0.lock().len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_and_of_one_size() {
        let buffers = Buffers::new(100, 1);
        drop((buffers.take(100), buffers.take(1)));
        assert_eq!(buffers.0.lock().len(), 1);
        let mut large = buffers.take(101);
        assert_eq!(large.bytes_mut().len(), 101);
        drop(buffers.take(100));
        drop(large);
        let kept: Vec<usize> = buffers.0.lock().iter().map(Vec::len).collect();
        assert_eq!(kept, [100]);
    }
}

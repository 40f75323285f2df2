use crate::ErrorCode;

/// A disk that a server serves. Called from several threads at once.
pub trait Export: Send + Sync {
    /// Stays the same while it is served.
    fn size_bytes(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`. The range lies inside the export and is not empty.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault>;

    /// What lies at `offset`: stretches that follow each other, at least one, of which the last may end before or
    /// behind `offset + length`. Asked often, so it should not read what it tells about.
    fn stretches(&self, offset: u64, length: u64) -> Result<Vec<Stretch>, Fault>;

    /// How it is written; none if it is read-only.
    fn writable(&self) -> Option<&dyn Writable> {
        None
    }
}

/// The other half of an export that can be written. Ranges lie inside the export and are not empty.
pub trait Writable {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Fault>;

    /// Makes the range read as zeros, and gives its space back where it can.
    fn zero(&self, offset: u64, length: u64) -> Result<(), Fault>;

    /// Returns when every call that returned before survives a power cut.
    fn flush(&self) -> Result<(), Fault>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// In bytes; never 0.
    pub length: u64,
    pub allocation: Allocation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Holds bytes, which may be zeros all the same.
    Data,
    /// Reads as zeros and occupies nothing.
    Hole,
}

/// Why an export could not do what was asked; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: ErrorCode,
    /// For the client's log: it travels to the peer.
    pub message: String,
}

impl Fault {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

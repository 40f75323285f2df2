//! One way of paging for every list.

/// Which part of a list to read. `marker` is the id of the row before the part; `offset` counts from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub offset: u64,
    pub limit: u64,
    pub marker: Option<String>,
}

/// A part of a list and how long the whole list is.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

impl<T> Listed<T> {
    pub const fn empty() -> Self {
        Self {
            rows: Vec::new(),
            total: 0,
        }
    }
}

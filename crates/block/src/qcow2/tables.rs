//! L2 tables in memory: the ones used last, and all that wait to be written.

use std::collections::HashMap;

use super::entry::Entry;
use super::{Header, small, words_from_bytes};
use crate::Result;
use crate::file::ImageFile;

const CACHE_BYTES: u64 = 16 << 20;
const MAX_TABLES: u64 = 1024;

#[derive(Debug)]
pub(super) struct Table {
    /// Where the table lies in the file.
    pub(super) offset: u64,
    pub(super) is_dirty: bool,
    words: Vec<u64>,
    last_use: u64,
}

#[derive(Debug)]
pub(super) struct Tables {
    /// By index in the L1 table.
    loaded: HashMap<u64, Table>,
    uses: u64,
    limit: usize,
}

impl Tables {
    /// Long chains get small caches, as each of their layers has one.
    pub(super) fn new(header: &Header, depth: u64) -> Self {
        let limit = CACHE_BYTES / depth / header.cluster_bytes();
        let limit = limit.clamp(2, MAX_TABLES);
        Self {
            loaded: HashMap::new(),
            uses: 0,
            limit: small(limit),
        }
    }

    /// The table at `index` of the L1 table, which lies at `offset`, loaded if need be.
    pub(super) fn get(
        &mut self,
        file: &ImageFile,
        header: &Header,
        index: u64,
        offset: u64,
    ) -> Result<&mut Table> {
        self.uses += 1;
        if !self.loaded.contains_key(&index) {
            let mut bytes = vec![0; small(header.cluster_bytes())];
            file.read_at(offset, &mut bytes)?;
            self.insert(index, offset, words_from_bytes(&bytes));
        }
        let table = self.loaded.get_mut(&index).expect("it was just inserted");
        table.last_use = self.uses;
        Ok(table)
    }

    /// Takes over the table at `index`, in place of what was there.
    pub(super) fn insert(&mut self, index: u64, offset: u64, words: Vec<u64>) -> &mut Table {
        if self.loaded.len() >= self.limit {
            self.evict();
        }
        let table = Table {
            offset,
            is_dirty: false,
            words,
            last_use: self.uses,
        };
        self.loaded.entry(index).insert_entry(table).into_mut()
    }

    /// Do so many tables wait that those in use would soon not fit any more?
    pub(super) fn has_many_dirty(&self) -> bool {
        self.dirty().count() > self.limit / 2
    }

    fn dirty(&self) -> impl Iterator<Item = &Table> {
        self.loaded.values().filter(|table| table.is_dirty)
    }

    /// Hands all changed tables to the file; false if there was none.
    pub(super) fn write_back(&mut self, file: &mut ImageFile) -> Result<bool> {
        let mut any = false;
        for table in self.loaded.values_mut().filter(|table| table.is_dirty) {
            let words = table.words.iter();
            let bytes: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
            file.write_at(table.offset, &bytes)?;
            table.is_dirty = false;
            any = true;
        }
        Ok(any)
    }

    fn evict(&mut self) {
        let clean = self.loaded.iter().filter(|(_, table)| !table.is_dirty);
        let oldest = clean.min_by_key(|(_, table)| table.last_use);
        if let Some(index) = oldest.map(|(index, _)| *index) {
            self.loaded.remove(&index);
        }
    }
}

impl Table {
    pub(super) fn entry(&self, header: &Header, index: u64) -> Entry {
        if header.is_extended() {
            return Entry {
                descriptor: self.words[small(index * 2)],
                subclusters: self.words[small(index * 2 + 1)],
            };
        }
        Entry {
            descriptor: self.words[small(index)],
            subclusters: 0,
        }
    }

    pub(super) fn set_entry(&mut self, header: &Header, index: u64, entry: Entry) {
        self.is_dirty = true;
        if header.is_extended() {
            self.words[small(index * 2)] = entry.descriptor;
            self.words[small(index * 2 + 1)] = entry.subclusters;
        } else {
            self.words[small(index)] = entry.descriptor;
        }
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }
}

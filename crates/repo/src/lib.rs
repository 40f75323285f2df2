//! The storage engine: write, read and verify points over an object store.

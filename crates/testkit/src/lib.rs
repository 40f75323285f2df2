//! Shared fixtures for tests: databases, clocks, ids, failing stores.

use std::time::Duration;

/// How a collection is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectOptions {
    /// Only say what would be freed; nothing is written.
    pub dry_run: bool,
    /// A pack of which less is in use is rewritten; 0 rewrites none.
    pub compact_below_percent: u8,
    /// Bound on what is read for rewriting.
    pub bytes_per_second: Option<u64>,
    /// How long to wait for writers and readers that may still use what goes. What they hold up is deleted by
    /// the next collection.
    pub wait: Duration,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            compact_below_percent: 50,
            bytes_per_second: None,
            wait: Duration::ZERO,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectPhase {
    /// Finding out what points need; counts nodes.
    Mark,
    /// Rewriting packs; counts bytes read.
    Copy,
    /// Waiting for sessions; counts those that are still at work.
    Wait,
    /// Counts packs deleted.
    Delete,
}

/// How far a collection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectProgress {
    pub phase: CollectPhase,
    pub done: u64,
}

/// What a collection found and did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct CollectReport {
    pub points: u64,
    pub nodes_visited: u64,
    /// Chunks that points need and no pack has: damage, which `verify` names.
    pub chunks_missing: u64,
    /// Packs found, and their bytes.
    pub packs: u64,
    pub bytes: u64,
    /// Of them, those of which nothing is in use.
    pub dead_packs: u64,
    pub dead_bytes: u64,
    /// Those of which so little is in use that the rest is worth rewriting them.
    pub sparse_packs: u64,
    pub sparse_bytes: u64,
    /// Sealed bytes in them that are in use.
    pub sparse_live_bytes: u64,
    /// Bytes of the packs and index segments written in their place.
    pub bytes_copied: u64,
    pub packs_deleted: u64,
    pub bytes_deleted: u64,
    /// Condemned, but somebody at work may still need something of them. In a dry run, those that earlier collections
    /// left so: the next one deletes them unless somebody still may.
    pub packs_pending: u64,
    pub bytes_pending: u64,
    /// Sessions at work at the end.
    pub sessions_alive: u64,
    /// Dead sessions that were cleared away.
    pub sessions_ended: u64,
}

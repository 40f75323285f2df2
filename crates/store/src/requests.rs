use std::sync::atomic::{AtomicU64, Ordering};

/// What a request to a server asks for; servers are paid by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Put,
    Get,
    Head,
    List,
    Delete,
    Other,
}

impl RequestKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }
}

/// Requests since a place was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct RequestCounts {
    pub put: u64,
    pub get: u64,
    pub head: u64,
    pub list: u64,
    pub delete: u64,
    pub other: u64,
    /// Those of the above that repeated one which had failed.
    pub repeated: u64,
}

/// Counts requests as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    put: AtomicU64,
    get: AtomicU64,
    head: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
    other: AtomicU64,
    repeated: AtomicU64,
}

impl Requests {
    pub(crate) fn count(&self, kind: RequestKind) {
        let counter = match kind {
            RequestKind::Put => &self.put,
            RequestKind::Get => &self.get,
            RequestKind::Head => &self.head,
            RequestKind::List => &self.list,
            RequestKind::Delete => &self.delete,
            RequestKind::Other => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("strongroom_storage_requests_total", "kind" => kind.as_str())
            .increment(1);
    }

    pub(crate) fn count_repetition(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("strongroom_storage_requests_repeated_total").increment(1);
    }

    pub(crate) fn so_far(&self) -> RequestCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            put: of(&self.put),
            get: of(&self.get),
            head: of(&self.head),
            list: of(&self.list),
            delete: of(&self.delete),
            other: of(&self.other),
            repeated: of(&self.repeated),
        }
    }
}

//! One way of paging for every list.

use crate::{Error, Result};

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

/// How long a list is, and where in it the page's marker stands, counted from 1.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Extent {
    #[sqlx(try_from = "i64")]
    pub(crate) total: u64,
    place: Option<i64>,
}

impl Page {
    /// The first `limit` rows.
    pub const fn first(limit: u64) -> Self {
        Self {
            offset: 0,
            limit,
            marker: None,
        }
    }

    /// The SQL that answers an [`Extent`] of the rows that `matching` (`FROM … WHERE …`) selects; the marker is bound
    /// to `parameter` in any case.
    ///
    /// A marker is turned into a place once, so that the page itself is a plain LIMIT and OFFSET for any order.
    pub(crate) fn extent_sql(&self, matching: &str, order: &str, parameter: &str) -> String {
        if self.marker.is_none() {
            return format!(
                "SELECT COUNT(*) AS total, CASE WHEN CAST({parameter} AS TEXT) IS NULL THEN CAST(NULL AS BIGINT) END AS place {matching}"
            );
        }
        format!(
            "WITH matching AS (SELECT id, ROW_NUMBER() OVER (ORDER BY {order}) AS place {matching}) \
             SELECT COUNT(*) AS total, MAX(CASE WHEN id = {parameter} THEN place END) AS place FROM matching"
        )
    }

    /// Rows to pass over; `UnknownMarker` when the marker is no row of the list.
    pub(crate) fn start(&self, extent: &Extent) -> Result<i64> {
        let offset = stored(self.offset);
        match (&self.marker, extent.place) {
            (None, _) => Ok(offset),
            (Some(_), Some(place)) => Ok(place.saturating_add(offset)),
            (Some(_), None) => Err(Error::UnknownMarker),
        }
    }
}

/// A count as both databases keep it.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

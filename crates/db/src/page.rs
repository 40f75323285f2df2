//! One way of paging for every list.

use strongroom_types::Timestamp;

use crate::conditions::Matching;
use crate::{Error, Result};

/// The order of the long lists, newest first. A page of such a list begins where the marker's row stands in an index, not
/// after so many rows that somebody has to count.
pub(crate) const NEWEST: &str = "created_at DESC, id DESC";

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

/// As [`Extent`], of a list in the order of [`NEWEST`]: the marker's row was created at `place`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct NewestExtent {
    #[sqlx(try_from = "i64")]
    pub(crate) total: u64,
    pub(crate) place: Option<Timestamp>,
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

    /// The SQL that answers a [`NewestExtent`] of what `matching` selects from `table`; the project is `$1`, the marker
    /// `marker`.
    pub(crate) fn newest_extent_sql(matching: &Matching, table: &str, marker: &str) -> String {
        let sql = &matching.sql;
        let total = if matching.is_whole {
            format!(
                "SELECT CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM list_length \
                 WHERE project_id = $1 AND list = '{table}'"
            )
        } else {
            format!("SELECT COUNT(*) {sql}")
        };
        format!("SELECT ({total}) AS total, (SELECT created_at {sql} AND id = {marker}) AS place")
    }

    /// The condition for a row to come after the marker's, which was created at the moment `place`; `UnknownMarker` when
    /// that is no row of the list.
    pub(crate) fn after_sql(
        &self,
        extent: &NewestExtent,
        place: &str,
        marker: &str,
    ) -> Result<String> {
        match (&self.marker, extent.place) {
            (None, _) => Ok(format!(
                "AND CAST({place} AS BIGINT) IS NULL AND CAST({marker} AS TEXT) IS NULL"
            )),
            (Some(_), Some(_)) => Ok(format!("AND (created_at, id) < ({place}, {marker})")),
            (Some(_), None) => Err(Error::UnknownMarker),
        }
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

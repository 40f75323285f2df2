//! The few places where the two databases need different words. If this file passes 100 lines, the decision
//! for one SQL text (docs/decisions) is due for review.

use crate::tx::Dialect;

impl Dialect {
    /// Ends the sub-select that picks a row to claim, so that concurrent claimers take different rows.
    /// SQLite has one writer and needs nothing.
    pub(crate) const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// A sub-select of the texts in the JSON array that a parameter holds, as `value`; no rows when it is NULL.
    pub(crate) fn values_of(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("SELECT value FROM json_each({parameter})"),
            Self::Postgres => {
                format!("SELECT jsonb_array_elements_text(CAST({parameter} AS JSONB)) AS value")
            }
        }
    }

    /// The first text of the JSON array that a parameter holds.
    pub(crate) fn first_value_of(self, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("json_extract({parameter}, '$[0]')"),
            Self::Postgres => format!("(CAST({parameter} AS JSONB) ->> 0)"),
        }
    }
}

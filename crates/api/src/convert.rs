//! Between the wire's shapes and the domain's: requests in, views out. No rule lives here, only spelling.

pub(crate) mod backups;
pub(crate) mod checkpoints;
pub(crate) mod identity;
pub(crate) mod inventory;
pub(crate) mod link;
pub(crate) mod machines;
pub(crate) mod members;
pub(crate) mod operation_logs;
pub(crate) mod policies;
pub(crate) mod proofs;
pub(crate) mod protectables;
pub(crate) mod replications;
pub(crate) mod resources;
pub(crate) mod vault_tags;
pub(crate) mod vaults;

use std::fmt::Display;
use std::ops::RangeInclusive;

use strongroom_service::rows::{Direction, Page};
use strongroom_wire::Code;
use strongroom_wire::values::{Label, Offset, PageLimit, ShortText};

use crate::ApiError;

/// How many rows a list answers unless the client says.
pub(crate) const DEFAULT_LIMIT: u64 = 1000;

pub(crate) fn page(
    limit: Option<PageLimit>,
    offset: Option<Offset>,
    marker: Option<impl Display>,
    default_limit: u64,
) -> Page {
    Page {
        offset: offset.map_or(0, |offset| unsigned(offset.get())),
        limit: limit.map_or(default_limit, |limit| unsigned(limit.get())),
        marker: marker.map(|marker| marker.to_string()),
    }
}

/// `key[:asc|desc]`, several separated by commas, as `read` knows the keys; none when absent.
pub(crate) fn sort_by<T>(
    text: Option<&Label>,
    read: impl Fn(&str, Direction) -> Option<T>,
) -> Result<Vec<T>, ApiError> {
    let Some(text) = text else {
        return Ok(vec![]);
    };
    let one = |part: &str| {
        let (key, direction) = part.split_once(':').unwrap_or((part, "desc"));
        let direction = match direction {
            "asc" => Direction::Ascending,
            "desc" => Direction::Descending,
            _ => return None,
        };
        read(key, direction)
    };
    let parts = text.as_str().split(',');
    let sort: Option<Vec<_>> = parts.map(|part| one(part.trim())).collect();
    let sort = sort.ok_or_else(|| ApiError::invalid("sort"))?;
    check_count("sort", &sort, 1..=6)?;
    Ok(sort)
}

/// Of a number whose type keeps it above zero.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Refuses a list that is too short or too long.
pub(crate) fn check_count<T>(
    field: &str,
    items: &[T],
    allowed: RangeInclusive<usize>,
) -> Result<(), ApiError> {
    if allowed.contains(&items.len()) {
        return Ok(());
    }
    let (min, max) = (allowed.start(), allowed.end());
    Err(ApiError::new(
        Code::InvalidParameter,
        format!("Invalid {field} provided: it must have {min} to {max} items."),
    ))
}

/// The enterprise project to filter by; one word of the API means all of them.
pub(crate) fn enterprise_project(filter: Option<ShortText>) -> Option<String> {
    filter
        .map(ShortText::into_string)
        .filter(|id| id != "all_granted_eps")
}

//! The optional conditions of a list.

use std::fmt::{Display, Write};

/// The rows of a project, `$1`.
pub(crate) const OF_PROJECT: &str = "project_id = $1";

/// The same, out of fewer rows that another condition selects. SQLite does not know that they are fewer, and would read the
/// whole project in the order of the list; there is no index on what is written here.
pub(crate) const OF_PROJECT_TOO: &str = "project_id || '' = $1";

/// Conditions that are joined by AND, of which those that nobody asked for name no column: the planner may then count from
/// an index alone, and use the index of what was asked for.
#[derive(Debug)]
pub(crate) struct Conditions {
    sql: String,
    /// Nothing was asked for beyond the first condition.
    is_whole: bool,
}

/// The rows of a list: `FROM … WHERE …`.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) sql: String,
    /// All that a project has in the list: how many these are is kept, not counted.
    pub(crate) is_whole: bool,
}

impl Conditions {
    pub(crate) fn new(first: impl Display) -> Self {
        Self {
            sql: format!("{first}"),
            is_whole: true,
        }
    }

    /// A condition that is not all there is to the list.
    pub(crate) fn add(&mut self, condition: impl Display) {
        self.is_whole = false;
        write!(self.sql, " AND {condition}").expect("writing to a String cannot fail");
    }

    /// `condition` where `filter` is given. The parameter is named in any case, since PostgreSQL wants to know its type.
    pub(crate) fn given<T>(
        &mut self,
        filter: Option<T>,
        parameter: Parameter,
        condition: impl Display,
    ) {
        match (filter, parameter) {
            (Some(_), _) => self.add(condition),
            (None, Parameter(number, kind)) => {
                write!(self.sql, " AND CAST(${number} AS {kind}) IS NULL")
                    .expect("writing to a String cannot fail");
            }
        }
    }

    pub(crate) fn into_matching(self) -> Matching {
        Matching {
            sql: self.sql,
            is_whole: self.is_whole,
        }
    }
}

/// A parameter's number and SQL type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter(u8, &'static str);

pub(crate) const fn text(number: u8) -> Parameter {
    Parameter(number, "TEXT")
}

pub(crate) const fn number(number: u8) -> Parameter {
    Parameter(number, "BIGINT")
}

pub(crate) const fn boolean(number: u8) -> Parameter {
    Parameter(number, "BOOLEAN")
}

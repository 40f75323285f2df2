use std::error::Error;
use std::fmt;

/// Prints an error followed by everything that caused it, `outer: middle: inner`.
///
/// Errors in this project leave their source out of `Display`; this is the one place that joins them,
/// used where an error is logged or shown.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

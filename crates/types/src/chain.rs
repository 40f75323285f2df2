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
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Errors of other crates often repeat what caused them.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

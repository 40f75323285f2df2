//! Changes of a document's text, which leave all else as it was written.

use std::ops::Range;

use roxmltree::Node;

/// What is left out, or replaced by something else.
pub(crate) type Edit = (Range<usize>, String);

pub(crate) fn without(node: Node<'_, '_>) -> Edit {
    (node.range(), String::new())
}

/// The ranges are of `text`, and none lies in another.
pub(crate) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut changed = String::with_capacity(text.len());
    let mut done = 0;
    for (range, instead) in edits {
        changed.push_str(&text[done..range.start]);
        changed.push_str(&instead);
        done = range.end;
    }
    changed.push_str(&text[done..]);
    changed
}

/// Text as it may stand between tags and in attributes with double quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            // XML has no way to write the others.
            c if c.is_control() => safe.push('_'),
            c => safe.push(c),
        }
    }
    safe
}

//! Parts of a body that clients ask for: RFC 9110, section 14, with one range at a time.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The range begins behind the end.
    Nothing,
}

/// What a GET wants of a body of `size` bytes with this entity tag. Several ranges, and what is no range, are answered with the whole.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // A date is none of ours.
    if headers.contains_key(IF_RANGE) && text(IF_RANGE) != Some(etag) {
        return Wanted::Whole;
    }
    let Some((first, last)) = text(RANGE).and_then(parse) else {
        return Wanted::Whole;
    };
    let range = match (first, last) {
        (Some(first), Some(last)) if first > last => return Wanted::Whole,
        (Some(first), last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        (None, Some(length)) => size.saturating_sub(length)..size,
        (None, None) => return Wanted::Whole,
    };
    if range.start >= range.end {
        return Wanted::Nothing;
    }
    Wanted::Part(range)
}

/// `bytes=FIRST-LAST`, either of which may be absent.
fn parse(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    if !(first.bytes().chain(last.bytes())).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What is larger than any body is behind its end.
    let [first, last] =
        [first, last].map(|text| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)));
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(size: u64, headers: &[(&'static str, &str)]) -> Wanted {
        let headers = headers.iter().map(|(name, value)| {
            let value = value.parse().unwrap();
            (name.parse().unwrap(), value)
        });
        wanted(&headers.collect(), "\"tag\"", size)
    }

    #[test]
    fn one_range_is_what_it_says() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("Bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=-5", Wanted::Part(95..100)),
            ("bytes=-500", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
        ];
        for (range, wanted) in cases {
            assert_eq!(asked(100, &[("range", range)]), wanted, "{range}");
        }
        assert_eq!(asked(0, &[("range", "bytes=0-")]), Wanted::Nothing);
    }

    #[test]
    fn what_is_no_single_range_asks_for_everything() {
        let others = [
            "bytes=5-4",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=0-1,5-6",
            "blocks=0-1",
            "0-1",
        ];
        for range in others {
            assert_eq!(asked(100, &[("range", range)]), Wanted::Whole, "{range}");
        }
        assert_eq!(asked(100, &[]), Wanted::Whole);
    }

    #[test]
    fn a_range_of_something_else_is_not_given() {
        let of = |tag| asked(100, &[("range", "bytes=1-"), ("if-range", tag)]);
        assert_eq!(of("\"tag\""), Wanted::Part(1..100));
        for other in ["\"other\"", "W/\"tag\"", "Mon, 30 Nov 2026 09:00:00 GMT"] {
            assert_eq!(of(other), Wanted::Whole, "{other}");
        }
    }
}

//! The table of codes, the error mapping and `docs/errors.md` agree.

use strongroom_types::Trouble;
use strongroom_wire::Code;

use crate::error::code_of_trouble;

/// Where codes are raised.
const SOURCES: [&str; 11] = [
    include_str!("../auth.rs"),
    include_str!("../contents.rs"),
    include_str!("../error.rs"),
    include_str!("../extract.rs"),
    include_str!("../extract/body.rs"),
    include_str!("../extract/path.rs"),
    include_str!("../extract/query.rs"),
    include_str!("../convert.rs"),
    include_str!("../convert/policies.rs"),
    include_str!("../identity.rs"),
    include_str!("../router.rs"),
];

#[test]
fn every_code_of_the_table_can_be_answered() {
    for code in Code::ALL {
        let raised = format!("Code::{}", code.name());
        let is_raised = |source: &&str| {
            source.match_indices(&raised).any(|(at, _)| {
                let next = source[at + raised.len()..].chars().next();
                !next.is_some_and(char::is_alphanumeric)
            })
        };
        assert!(SOURCES.iter().any(is_raised), "{raised} is never raised");
    }
}

#[test]
fn every_code_is_in_the_reference() {
    let reference = include_str!("../../../../docs/errors.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(
            reference.contains(&row),
            "docs/errors.md lacks a row `{row}`"
        );
    }
}

#[test]
fn every_trouble_has_a_code() {
    for trouble in Trouble::ALL {
        assert!(!code_of_trouble(*trouble).as_str().is_empty());
    }
}

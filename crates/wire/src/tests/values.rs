//! The limits of texts and numbers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::values::*;

fn refusal<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
    serde_json::from_value::<T>(value).unwrap_err().to_string()
}

fn accepts<T: DeserializeOwned>(value: Value) -> bool {
    serde_json::from_value::<T>(value).is_ok()
}

#[test]
fn names_take_letters_digits_and_cjk() {
    for name in [
        "a",
        "my_vault",
        "vault-4eb7",
        "\u{4fdd}\u{9669}\u{5e93}",
        "v1.2",
    ] {
        assert!(accepts::<Name>(json!(name)), "{name}");
    }
    for name in [
        "",
        "a b",
        "a/b",
        "na\u{ef}ve",
        "<b>",
        "a\n",
        &"x".repeat(65),
    ] {
        assert!(
            refusal::<Name>(json!(name)).starts_with("it must be 1 to 64"),
            "{name}"
        );
    }
    // Characters count, not bytes.
    assert!(accepts::<Name>(json!("\u{5e93}".repeat(64))));
}

#[test]
fn descriptions_take_lines_but_no_markup() {
    assert!(accepts::<Description>(json!("two\nlines & more, \u{e9}")));
    assert!(accepts::<Description>(json!("")));
    assert!(accepts::<Description>(json!("x".repeat(255))));
    for text in ["<", "a > b", "\u{0}", "\u{7f}", &"x".repeat(256)] {
        assert!(!accepts::<Description>(json!(text)), "{text:?}");
    }
}

#[test]
fn numbers_keep_their_bounds() {
    assert!(accepts::<VaultSize>(json!(10)) && accepts::<VaultSize>(json!(10_485_760)));
    assert_eq!(
        refusal::<VaultSize>(json!(9)),
        "it must be from 10 to 10485760"
    );
    for value in [
        json!(10_485_761),
        json!(-1),
        json!("10"),
        json!(10.5),
        json!(null),
        json!(u64::MAX),
    ] {
        assert!(!accepts::<VaultSize>(value.clone()), "{value}");
    }
    assert!(accepts::<VaultSizeChange>(json!(1)) && !accepts::<VaultSizeChange>(json!(0)));
    assert!(accepts::<PeriodCount>(json!(9)) && !accepts::<PeriodCount>(json!(10)));
    assert!(accepts::<PageLimit>(json!(1000)) && !accepts::<PageLimit>(json!(1001)));
    assert!(accepts::<Offset>(json!(i64::MAX)) && !accepts::<Offset>(json!(-1)));
}

#[test]
fn backups_are_kept_for_ever_or_for_days() {
    for days in [-1, 1, 36_500] {
        assert!(accepts::<RetentionDays>(json!(days)), "{days}");
    }
    for days in [-2, 0, 36_501] {
        assert!(!accepts::<RetentionDays>(json!(days)), "{days}");
    }
}

mod retention;
mod schedule;

use std::time::Duration;

use crate::*;

#[test]
fn cbr_times_are_naive_with_six_digits() {
    let time: Timestamp = "2020-08-17T03:51:24.6Z".parse().unwrap();
    assert_eq!(time.to_cbr(), "2020-08-17T03:51:24.600000");
    assert_eq!(time.to_keystone(), "2020-08-17T03:51:24.600000Z");
    assert_eq!(
        Timestamp::from_seconds(0).to_cbr(),
        "1970-01-01T00:00:00.000000"
    );
}

#[test]
fn times_are_read_in_every_accepted_spelling() {
    let expected = Timestamp::from_seconds(1_517_486_400);
    for text in [
        "2018-02-01T12:00:00Z",
        "2018-02-01T12:00:00",
        "2018-02-01T13:00:00+01:00",
        "2018-02-01 12:00:00",
    ] {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
    assert_eq!(Timestamp::from_compact("20180201T120000Z"), Ok(expected));
    assert_eq!(expected.to_compact(), "20180201T120000Z");
    for text in ["", "yesterday", "2018-02-31T00:00:00Z", "2018"] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
}

#[test]
fn time_arithmetic_saturates() {
    let time = Timestamp::from_seconds(10);
    assert_eq!(
        time.plus(Duration::from_secs(5)).since(time),
        Duration::from_secs(5)
    );
    assert_eq!(
        time.since(time.plus(Duration::from_secs(5))),
        Duration::ZERO
    );
    assert_eq!(time.plus(Duration::MAX).as_micros(), i64::MAX);
}

#[test]
fn months_are_calendar_months() {
    let time: Timestamp = "2028-01-31T10:00:00Z".parse().unwrap();
    assert_eq!(time.plus_months(1).to_cbr(), "2028-02-29T10:00:00.000000");
    assert_eq!(time.plus_months(12).to_cbr(), "2029-01-31T10:00:00.000000");
    assert_eq!(time.plus_months(u64::MAX).as_micros(), i64::MAX);
}

#[test]
fn ids_have_one_spelling() {
    let id: VaultId = "EA7B8717-2543-478a-a92d-3ca7ee448f67".parse().unwrap();
    assert_eq!(id.as_str(), "ea7b8717-2543-478a-a92d-3ca7ee448f67");
    for text in [
        "",
        "ea7b87172543478aa92d3ca7ee448f67",
        "{ea7b8717-2543-478a-a92d-3ca7ee448f67}",
        "vault-a",
    ] {
        assert!(text.parse::<VaultId>().is_err(), "{text}");
    }
    assert!(
        "0605767b5780d5762fc5c0118072a564"
            .parse::<ProjectId>()
            .is_ok()
    );
    assert!(
        "0605767b5780d5762fc5c0118072a56"
            .parse::<ProjectId>()
            .is_err()
    );
}

#[test]
fn random_ids_parse_back() {
    let vault = VaultId::random(&SystemIds);
    assert_eq!(vault.as_str().parse(), Ok(vault));
    let project = ProjectId::random(&SystemIds);
    assert_eq!(project.as_str().parse(), Ok(project));
}

#[test]
fn words_round_trip() {
    for status in BackupStatus::ALL {
        assert_eq!(status.as_str().parse(), Ok(*status));
    }
    let error = "gone".parse::<BackupStatus>().unwrap_err();
    assert_eq!(error.to_string(), "`gone` is not a BackupStatus");
}

#[test]
fn sizes_round_up() {
    assert_eq!(gib_ceil(0), 0);
    assert_eq!(gib_ceil(1), 1);
    assert_eq!(gib_ceil(GIB + 1), 2);
    assert_eq!(mib_ceil(MIB), 1);
}

#[test]
fn a_chain_prints_every_cause_once() {
    #[derive(Debug)]
    struct Outer(UnknownWord);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("row is unreadable")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    #[derive(Debug)]
    struct Repeating(UnknownWord);
    impl std::fmt::Display for Repeating {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "reading failed: {}", self.0)
        }
    }
    impl std::error::Error for Repeating {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer("x".parse::<Role>().unwrap_err());
    assert_eq!(
        Chain(&error).to_string(),
        "row is unreadable: `x` is not a Role"
    );
    let error = Repeating("x".parse::<Role>().unwrap_err());
    assert_eq!(
        Chain(&error).to_string(),
        "reading failed: `x` is not a Role"
    );
}

#[test]
fn a_day_ends_where_its_zone_says() {
    let end = |day, zone| Timestamp::end_of_day(day, zone).map(Timestamp::to_cbr);
    assert_eq!(
        end("2026-12-31", "UTC+00:00").unwrap(),
        "2027-01-01T00:00:00.000000"
    );
    assert_eq!(
        end("2026-12-31", "UTC+08:00").unwrap(),
        "2026-12-31T16:00:00.000000"
    );
    assert_eq!(
        end("2026-02-28", "UTC-03:30").unwrap(),
        "2026-03-01T03:30:00.000000"
    );
    for (day, zone) in [
        ("2026-02-29", "UTC+00:00"),
        ("2026-1-1", "UTC+00:00"),
        ("20260101", "UTC+00:00"),
        ("2026-01-01", "UTC+8"),
        ("2026-01-01", "+00:00"),
        ("2026-01-01", "UTC+99:00"),
        ("2026-01-01", "UTC"),
    ] {
        assert!(end(day, zone).is_err(), "{day} {zone}");
    }
}

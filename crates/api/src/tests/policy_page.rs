//! The worked examples of `docs/policies.md`.

use std::fmt::Write as _;

use strongroom_types::{Retention, Schedule, Timestamp};

use crate::convert::policies::definition;

const PAGE: &str = include_str!("../../../../docs/policies.md");

/// The fenced blocks of a kind, each as its `name: value` lines.
fn examples(kind: &str) -> Vec<Vec<(&'static str, &'static str)>> {
    let opening = format!("```{kind}\n");
    let blocks = PAGE.split("```").collect::<Vec<_>>();
    let blocks = blocks.chunks(2).filter_map(|pair| pair.get(1));
    let fields = |block: &'static str| {
        let lines = block
            .lines()
            .skip(1)
            .map(|line| line.split_once(':').unwrap());
        lines.map(|(name, value)| (name, value.trim())).collect()
    };
    blocks
        .filter(|block| format!("```{block}").starts_with(&opening))
        .map(|block| fields(block))
        .collect()
}

fn values<'a>(example: &'a [(&str, &str)], name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = example.iter().filter(move |(other, _)| *other == name);
    named.map(|(_, value)| *value)
}

fn only<'a>(example: &'a [(&str, &str)], name: &'a str) -> &'a str {
    values(example, name).next().unwrap_or_default()
}

fn times(text: &str) -> Vec<Timestamp> {
    text.split(", ").map(|time| time.parse().unwrap()).collect()
}

fn written(times: impl IntoIterator<Item = Timestamp>) -> String {
    let mut text = String::new();
    for time in times {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{}", time.to_blank()).unwrap();
    }
    text
}

#[test]
fn schedules_start_when_the_page_says() {
    let examples = examples("schedule");
    assert!(examples.len() >= 3);
    for example in examples {
        let patterns = values(&example, "pattern")
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let schedule = Schedule::try_from(patterns).unwrap();
        let made = times(only(&example, "made"))[0];
        let expected = only(&example, "starts");
        let mut last = made;
        let starts = times(expected).into_iter().map(|_| {
            last = schedule.next_after(last, made);
            last
        });
        assert_eq!(written(starts), expected);
    }
}

#[test]
fn backups_stay_that_the_page_says() {
    let examples = examples("retention");
    assert!(examples.len() >= 6);
    for example in examples {
        let rules = only(&example, "rules");
        let definition = definition(serde_json::from_str(rules).unwrap()).unwrap();
        let retention = Retention::try_from(definition.retention).unwrap();
        let made = times(only(&example, "made"));
        let at = values(&example, "at").next();
        let now = at.map_or(made[made.len() - 1], |at| times(at)[0]);
        let let_go = retention.let_go(&made, now);
        let stay = made.into_iter().zip(let_go);
        let stay = stay.filter(|(_, let_go)| !let_go).map(|(made, _)| made);
        assert_eq!(written(stay), only(&example, "stay"), "{rules}");
    }
}

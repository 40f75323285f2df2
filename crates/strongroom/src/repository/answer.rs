use serde::Serialize;
use strongroom_store::{RequestCounts, Storage};

use crate::output::print_json;

/// Prints what a command answers to machines: its own words, and how many requests it made where the place is a server.
pub(super) fn print_answer(storage: &Storage, answer: &impl Serialize) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        #[serde(flatten)]
        answer: &'a T,
        #[serde(skip_serializing_if = "Option::is_none")]
        requests: Option<RequestCounts>,
    }
    print_json(&Answer {
        answer,
        requests: storage.requests(),
    })
}

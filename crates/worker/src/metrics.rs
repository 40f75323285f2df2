//! Names of this crate's metrics. Labels are bounded: kinds and outcomes, never ids.

use std::time::Duration;

use strongroom_types::{JobKind, NoticeChannel};

const JOBS: &str = "strongroom_jobs_total";
const NOTICES: &str = "strongroom_notices_total";
const LOCKED_CLOCK: &str = "strongroom_locked_clock_behind_seconds";
const REPLICA_SENT: &str = "strongroom_replica_sent_bytes_total";
const REPLICA_RECEIVED: &str = "strongroom_replica_received_bytes_total";
const JOB_SECONDS: &str = "strongroom_job_seconds";

/// Tells the exporter what the names mean.
pub fn describe() {
    metrics::describe_counter!(
        JOBS,
        "Attempts at jobs that have ended, by kind and outcome"
    );
    metrics::describe_counter!(NOTICES, "Attempts to send a notice, by channel and outcome");
    metrics::describe_counter!(
        "strongroom_storage_requests_total",
        "Requests to the S3 server, by kind"
    );
    metrics::describe_counter!(
        "strongroom_storage_requests_repeated_total",
        "Those requests that repeated one which had failed"
    );
    metrics::describe_gauge!(
        LOCKED_CLOCK,
        metrics::Unit::Seconds,
        "How far the host's clock is ahead of that of locked vaults"
    );
    metrics::describe_counter!(
        REPLICA_SENT,
        "Bytes of blocks that other regions lacked and were sent"
    );
    metrics::describe_counter!(
        REPLICA_RECEIVED,
        "Bytes of blocks that other regions have sent"
    );
    metrics::describe_histogram!(
        JOB_SECONDS,
        metrics::Unit::Seconds,
        "Duration of an attempt at a job"
    );
}

pub(crate) fn notice_ended(channel: NoticeChannel, outcome: &'static str) {
    metrics::counter!(NOTICES, "channel" => channel.as_str(), "outcome" => outcome).increment(1);
}

pub(crate) fn locked_clock_behind(by: Duration) {
    metrics::gauge!(LOCKED_CLOCK).set(by.as_secs_f64());
}

pub(crate) fn replica_sent(bytes: u64) {
    metrics::counter!(REPLICA_SENT).increment(bytes);
}

pub(crate) fn replica_received(bytes: u64) {
    metrics::counter!(REPLICA_RECEIVED).increment(bytes);
}

pub(crate) fn job_ended(kind: JobKind, outcome: &'static str, took: Duration) {
    metrics::counter!(JOBS, "kind" => kind.as_str(), "outcome" => outcome).increment(1);
    metrics::histogram!(JOB_SECONDS, "kind" => kind.as_str()).record(took.as_secs_f64());
}

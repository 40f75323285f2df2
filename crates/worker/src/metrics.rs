//! Names of this crate's metrics. Labels are bounded: kinds and outcomes, never ids.

use std::time::Duration;

use strongroom_types::JobKind;

const JOBS: &str = "strongroom_jobs_total";
const LOCKED_CLOCK: &str = "strongroom_locked_clock_behind_seconds";
const JOB_SECONDS: &str = "strongroom_job_seconds";

/// Tells the exporter what the names mean.
pub fn describe() {
    metrics::describe_counter!(
        JOBS,
        "Attempts at jobs that have ended, by kind and outcome"
    );
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
    metrics::describe_histogram!(
        JOB_SECONDS,
        metrics::Unit::Seconds,
        "Duration of an attempt at a job"
    );
}

pub(crate) fn locked_clock_behind(by: Duration) {
    metrics::gauge!(LOCKED_CLOCK).set(by.as_secs_f64());
}

pub(crate) fn job_ended(kind: JobKind, outcome: &'static str, took: Duration) {
    metrics::counter!(JOBS, "kind" => kind.as_str(), "outcome" => outcome).increment(1);
    metrics::histogram!(JOB_SECONDS, "kind" => kind.as_str()).record(took.as_secs_f64());
}

use clap::{Args, Subcommand};

use super::{Column, Context, query};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List who changed what, or tried to, newest first.
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The name of a change, e.g. createVault.
    #[arg(long)]
    action: Option<String>,
    /// success, denied or failed.
    #[arg(long)]
    outcome: Option<String>,
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// The id that an answer had in X-Request-Id.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// A time such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// How many to pass over.
    #[arg(long)]
    offset: Option<u32>,
}

const COLUMNS: &[Column] = &[
    ("time (UTC)", "/happened_at"),
    ("user", "/user_name"),
    ("action", "/action"),
    ("outcome", "/outcome"),
    ("code", "/error_code"),
    ("resource", "/resource_id"),
    ("project", "/project_id"),
    ("from", "/source"),
    ("request", "/request_id"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    let Verb::List(list) = verb;
    let path = format!("//strongroom/v1/audit{}", list.query());
    context.print(&context.connection.get(&path).await?, "/records", COLUMNS)
}

impl List {
    fn query(self) -> String {
        query(&[
            ("project_id", self.project),
            ("user_id", self.user),
            ("action", self.action),
            ("outcome", self.outcome),
            ("resource_id", self.resource),
            ("request_id", self.request),
            ("start_time", self.since),
            ("end_time", self.until),
            ("limit", Some(self.limit.to_string())),
            ("offset", self.offset.map(|offset| offset.to_string())),
        ])
    }
}

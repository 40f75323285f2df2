use clap::Subcommand;

use super::connection::encode;
use super::wait::wait_for_task;
use super::{Column, Context, query};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List tasks, newest first.
    List {
        #[arg(long)]
        status: Option<String>,
        #[arg(long = "type")]
        operation_type: Option<String>,
        #[arg(long, value_name = "ID")]
        vault: Option<String>,
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one task.
    Show {
        task: String,
        /// Return when it has ended; fail when it failed.
        #[arg(long)]
        wait: bool,
    },
}

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("type", "/operation_type"),
    ("status", "/status"),
    ("%", "/extra_info/common/progress"),
    ("resource", "/extra_info/resource/name"),
    ("started (UTC)", "/started_at"),
    ("ended (UTC)", "/ended_at"),
    ("error", "/error_info/message"),
];

pub(super) async fn run(context: &Context, verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List {
            status,
            operation_type,
            vault,
            limit,
        } => {
            let options = [
                ("status", status),
                ("operation_type", operation_type),
                ("vault_id", vault),
                ("limit", limit.map(|limit| limit.to_string())),
            ];
            let answer = context
                .connection
                .get(&format!("/operation-logs{}", query(&options)))
                .await?;
            context.print(&answer, "/operation_logs", COLUMNS)
        }
        Verb::Show { task, wait } => {
            let answer = if wait {
                wait_for_task(&context.connection, &task).await?
            } else {
                context
                    .connection
                    .get(&format!("/operation-logs/{}", encode(&task)))
                    .await?
            };
            context.print(&answer, "/operation_log", COLUMNS)
        }
    }
}

//! The one binary: `serve`, the client verbs, and the engine alone under `repo`.

mod client;
mod config;
mod credentials;
mod data_dir;
mod demo;
mod mounted;
mod output;
mod progress;
mod recovery;
mod repository;
mod server;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use strongroom_types::Chain;

#[derive(Debug, Parser)]
#[command(
    name = "strongroom",
    version,
    about = "Backup and recovery with the CBR v3 API"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The file that says where the server is and how to sign in; made by its first start.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRONGROOM_CREDENTIALS",
        global = true
    )]
    credentials: Option<PathBuf>,
    /// Print tables for people or JSON for programs.
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        default_value_t,
        global = true
    )]
    output: output::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and do its work, until SIGTERM.
    Serve(server::Serve),
    /// List again what the repositories hold, after the database was lost.
    Recover(recovery::Recover),
    /// Show the whole way, from vault to restore, on a throw-away server.
    Demo,
    /// Work on a repository directly, without a server.
    #[command(subcommand)]
    Repo(repository::Command),
    #[command(flatten)]
    Client(client::Verb),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let run = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => server::run(serve).await.map(|()| ExitCode::SUCCESS),
            Command::Recover(recover) => recovery::run(recover, cli.output).await,
            Command::Demo => demo::run().await.map(|()| ExitCode::SUCCESS),
            Command::Repo(command) => repository::run(command, cli.output).await,
            Command::Client(verb) => client::run(verb, cli.credentials, cli.output)
                .await
                .map(|()| ExitCode::SUCCESS),
        }
    });
    run.unwrap_or_else(|error| fail(&error))
}

/// One sentence, causes included, and exit code 1; usage errors are clap's and exit with 2.
fn fail(error: &anyhow::Error) -> ExitCode {
    output::remark(&format!("strongroom: {}", Chain(error.as_ref())));
    ExitCode::FAILURE
}

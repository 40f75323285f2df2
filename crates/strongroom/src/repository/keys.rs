//! `strongroom repo key …`

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::Place;
use super::answer::print_answer;
use super::secret::NewSecret;
use crate::output::{Format, print_line};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Seal what is written from now on under a new root key; with a new key file or passphrase, only that one opens
    /// the repository from now on. Nothing is rewritten, and backups may run meanwhile.
    Rotate {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: NewSecret,
    },
    /// Open the repository with another key file or passphrase from now on, and with the present one no more.
    Change {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: NewSecret,
    },
}

#[derive(Serialize)]
struct Changed {
    /// How often a root key was added.
    generation: u16,
}

/// After an error nobody knows which secret it is.
const UNCERTAIN: &str = "the keys may have been changed all the same: try the new key or passphrase first, \
    and keep the old one until one of them opens the repository";

pub(super) async fn run(command: KeyCommand, format: Format) -> anyhow::Result<ExitCode> {
    let repository = match command {
        KeyCommand::Rotate { place, new } => {
            let repository = place.open().await?;
            let done = match new.read()? {
                Some(secret) => repository.rotate_keys(&secret).await,
                None => repository.add_root_key().await,
            };
            done.context(UNCERTAIN)?;
            repository
        }
        KeyCommand::Change { place, new } => {
            let repository = place.open().await?;
            let secret = new
                .read()?
                .context("a new key file or a new passphrase is needed")?;
            let done = repository.change_secret(&secret).await;
            done.context(UNCERTAIN)?;
            repository
        }
    };
    let generation = repository.key_generation();
    match format {
        Format::Json => print_answer(repository.storage(), &Changed { generation })?,
        Format::Table => print_line(&format!("done; the newest root key is number {generation}")),
    }
    Ok(ExitCode::SUCCESS)
}

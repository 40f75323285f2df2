//! Sends notices through the log, a webhook and mail, beside the jobs and never in their way.

mod mail;
mod webhook;

use std::time::Duration;

use strongroom_service::notices::{Next, claim, forget_old, mark_sent, mark_unsent};
use strongroom_service::rows::{Notice, NoticeEvent};
use strongroom_service::{App, Error};
use strongroom_types::{Chain, GIB, NoticeChannel};
use tokio_util::sync::CancellationToken;

pub use mail::{Mail, MailError, MailSettings, MailTls};
pub use webhook::{Webhook, WebhookError};

use crate::metrics;

/// Between two looks for notices that are due.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// An attempt takes no longer, so that no claim runs out under it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where people are told besides the log.
#[derive(Debug, Default)]
pub struct Channels {
    pub webhook: Option<Webhook>,
    pub mail: Option<Mail>,
}

impl Channels {
    /// The channels to write notices for; the log is always one.
    pub fn names(&self) -> Vec<NoticeChannel> {
        let webhook = self.webhook.as_ref().map(|_| NoticeChannel::Webhook);
        let mail = self.mail.as_ref().map(|_| NoticeChannel::Mail);
        [Some(NoticeChannel::Log), webhook, mail]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Sends what is due, one notice after the other, until it is told to stop.
#[derive(Debug)]
pub struct Notifier {
    pub app: App,
    pub channels: Channels,
}

impl Notifier {
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.send_all() => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Sends everything that is due now.
    pub async fn send_all(&self) {
        let sent = async {
            while let Some(notice) = claim(&self.app).await? {
                self.send(&notice).await?;
            }
            forget_old(&self.app).await
        };
        if let Err(error) = sent.await {
            tracing::error!(error = %Chain(&error), "notices cannot be read or marked now");
        }
    }

    async fn send(&self, notice: &Notice) -> Result<(), Error> {
        let outcome = match tokio::time::timeout(TIMEOUT, self.try_send(notice)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".to_owned()),
        };
        let Err(reason) = outcome else {
            metrics::notice_ended(notice.channel, "sent");
            return mark_sent(&self.app, notice).await;
        };
        let channel = notice.channel;
        match mark_unsent(&self.app, notice, &reason).await? {
            Next::Again => {
                metrics::notice_ended(channel, "retried");
                tracing::warn!(%channel, attempt = notice.attempt, reason, "a notice could not be sent; it will be tried again");
            }
            Next::Never => {
                metrics::notice_ended(channel, "failed");
                tracing::error!(%channel, event = ?notice.event.0, reason, "a notice could not be sent and is given up");
            }
        }
        Ok(())
    }

    async fn try_send(&self, notice: &Notice) -> Result<(), String> {
        let gone = || "the channel is no longer configured".to_owned();
        match notice.channel {
            NoticeChannel::Log => {
                tracing::warn!(notice.event_id, "{}", sentence(&notice.event.0));
                Ok(())
            }
            NoticeChannel::Webhook => {
                let webhook = self.channels.webhook.as_ref().ok_or_else(gone)?;
                let sent = webhook.send(notice).await;
                sent.map_err(|error| Chain(&error).to_string())
            }
            NoticeChannel::Mail => {
                let mail = self.channels.mail.as_ref().ok_or_else(gone)?;
                let sent = mail.send(notice).await;
                sent.map_err(|error| Chain(&error).to_string())
            }
        }
    }
}

/// An event for people to read.
fn sentence(event: &NoticeEvent) -> String {
    match event {
        NoticeEvent::VaultThresholdReached {
            vault_id,
            vault_name,
            threshold_percent,
            used_bytes,
            size_gb,
            ..
        } => {
            let used_gb = used_bytes.div_ceil(GIB);
            format!(
                "The vault {vault_name} ({vault_id}) is filled to its threshold of {threshold_percent} %: {used_gb} GB of {size_gb} GB are used."
            )
        }
        NoticeEvent::ChangesMissed {
            backup_id,
            volume_id,
            offset,
            ..
        } => format!(
            "QEMU's bitmap of the disk {volume_id} does not mark what changed at byte {offset}. The backup {backup_id} is right: the disk was read whole. Others since the last full one may lack such changes: make a full backup, and find out what writes to the disk or its image behind QEMU's back."
        ),
        NoticeEvent::BackupDoesNotBoot {
            backup_id,
            resource_id,
            resource_name,
            proof_id,
            reason,
            ..
        } => format!(
            "A machine that was run from the backup {backup_id} of {resource_name} ({resource_id}) does not boot: {reason}. The proof {proof_id} has what it showed."
        ),
    }
}

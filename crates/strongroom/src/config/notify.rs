//! Where people are told of what happens. Secrets stand in files of their own, never in the settings.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use strongroom_worker::notify::{Channels, Mail, MailSettings, MailTls, Webhook};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    pub(crate) webhook: Option<WebhookConfig>,
    pub(crate) mail: Option<MailConfig>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookConfig {
    pub(crate) url: String,
    /// Holds what requests are signed with, at least 16 bytes.
    pub(crate) secret_file: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailConfig {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) tls: Option<Tls>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tls {
    Always,
    Starttls,
    Never,
}

impl Notify {
    /// Reads the secrets and makes the channels.
    pub(crate) fn channels(&self) -> anyhow::Result<Channels> {
        Ok(Channels {
            webhook: self.webhook.as_ref().map(webhook).transpose()?,
            mail: self.mail.as_ref().map(mail).transpose()?,
        })
    }
}

fn webhook(config: &WebhookConfig) -> anyhow::Result<Webhook> {
    let secret = secret(&config.secret_file)?;
    Webhook::new(&config.url, secret.as_bytes()).context("`notify.webhook` is wrong")
}

fn mail(config: &MailConfig) -> anyhow::Result<Mail> {
    let tls = config.tls.unwrap_or(Tls::Always);
    let (tls, usual_port) = match tls {
        Tls::Always => (MailTls::Always, 465),
        Tls::Starttls => (MailTls::Starttls, 587),
        Tls::Never => (MailTls::Never, 25),
    };
    let credentials = match (&config.user, &config.password_file) {
        (Some(user), Some(file)) => Some((user.clone(), secret(file)?)),
        (None, None) => None,
        _ => anyhow::bail!("`notify.mail` needs both `user` and `password_file`, or neither"),
    };
    let settings = MailSettings {
        host: config.host.clone(),
        port: config.port.unwrap_or(usual_port),
        tls,
        credentials,
        from: config.from.clone(),
        to: config.to.clone(),
    };
    Mail::new(settings).context("`notify.mail` is wrong")
}

/// A secret without the line break that editors put at its end.
fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the secret in {} cannot be read", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use strongroom_types::NoticeChannel;

    use super::*;

    /// The example of docs/operations.md.
    const EXAMPLE: &str = include_str!("../../../../docs/operations.md");

    fn example(folder: &Path) -> Notify {
        let (_, rest) = EXAMPLE.split_once("```toml\n[notify.webhook]").unwrap();
        let text = format!("[notify.webhook]{}", rest.split_once("```").unwrap().0);
        let text = text.replace("/etc/strongroom", folder.to_str().unwrap());
        let parsed: toml::Table = text.parse().unwrap();
        parsed["notify"].clone().try_into().unwrap()
    }

    #[test]
    fn the_example_of_the_manual_works_once_its_secrets_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let notify = example(folder.path());
        assert!(notify.channels().is_err());
        std::fs::write(folder.path().join("webhook.secret"), "0123456789abcdef\n").unwrap();
        std::fs::write(folder.path().join("mail.password"), "hush\n").unwrap();
        let channels = notify.channels().unwrap();
        let all = [
            NoticeChannel::Log,
            NoticeChannel::Webhook,
            NoticeChannel::Mail,
        ];
        assert_eq!(channels.names(), all);
        assert!(!format!("{channels:?}").contains("hush"));
        std::fs::write(folder.path().join("webhook.secret"), "0123456789abcde\n").unwrap();
        assert!(notify.channels().is_err());
    }

    #[test]
    fn without_settings_there_is_the_log() {
        assert_eq!(
            Notify::default().channels().unwrap().names(),
            [NoticeChannel::Log]
        );
    }
}

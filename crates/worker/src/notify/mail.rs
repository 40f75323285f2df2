use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use strongroom_service::rows::{Notice, NoticeEvent};

use super::sentence;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// For each command of the conversation.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a mail server is reached.
#[derive(Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    /// User and password, where the server wants them.
    pub credentials: Option<(String, String)>,
    pub from: String,
    pub to: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte on.
    Always,
    /// After `STARTTLS`, without which nothing is sent.
    Starttls,
    /// For a server on the same host.
    Never,
}

/// A mail server and the people who are written to.
pub struct Mail {
    transport: Transport,
    from: Mailbox,
    to: Vec<Mailbox>,
}

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("`{0}` is no mail address")]
    BadAddress(String),
    #[error("mail has nobody to go to")]
    Nobody,
    #[error("a mail cannot be written")]
    Unwritable(#[source] lettre::error::Error),
    #[error("the mail server does not take it")]
    Refused(#[source] lettre::transport::smtp::Error),
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl Mail {
    pub fn new(settings: MailSettings) -> Result<Self, MailError> {
        let from = address(&settings.from)?;
        let to: Vec<Mailbox> = settings
            .to
            .iter()
            .map(|text| address(text))
            .collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err(MailError::Nobody);
        }
        let host = settings.host.as_str();
        let builder = match settings.tls {
            MailTls::Always => Transport::relay(host).map_err(MailError::Refused)?,
            MailTls::Starttls => Transport::starttls_relay(host).map_err(MailError::Refused)?,
            MailTls::Never => Transport::builder_dangerous(host),
        };
        let mut builder = builder.port(settings.port).timeout(Some(TIMEOUT));
        if let Some((user, password)) = settings.credentials {
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self {
            transport: builder.build(),
            from,
            to,
        })
    }

    /// Done when the server has taken the mail for everybody.
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), MailError> {
        let written = u64::try_from(notice.created_at.as_micros()).unwrap_or(0);
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + Duration::from_micros(written))
            // The same for a mail that is sent twice, so that a mailbox can show it once.
            .message_id(Some(format!("<{}@strongroom>", notice.event_id)))
            .subject(subject(&notice.event.0));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message
            .body(format!("{}\r\n", sentence(&notice.event.0)))
            .map_err(MailError::Unwritable)?;
        let sent = self.transport.send(message).await;
        sent.map(|_| ()).map_err(MailError::Refused)
    }
}

fn address(text: &str) -> Result<Mailbox, MailError> {
    text.parse()
        .map_err(|_| MailError::BadAddress(text.to_owned()))
}

fn subject(event: &NoticeEvent) -> String {
    match event {
        NoticeEvent::VaultThresholdReached {
            vault_name,
            threshold_percent,
            ..
        } => format!("Vault {vault_name} is filled to {threshold_percent} %"),
        NoticeEvent::ChangesMissed { volume_id, .. } => {
            format!("Changes of the disk {volume_id} were missed")
        }
        NoticeEvent::BackupDoesNotBoot { resource_name, .. } => {
            format!("A backup of {resource_name} does not boot")
        }
    }
}

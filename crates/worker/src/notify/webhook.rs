use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use strongroom_service::rows::Notice;

/// For the whole of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
const SECRET_LENGTH_MIN: usize = 16;

/// A URL that is sent each event as JSON, signed with a secret that both sides know.
pub struct Webhook {
    client: Client,
    url: Url,
    key: hmac::Key,
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's URL must begin with http:// or https://")]
    BadUrl,
    #[error("the webhook's secret must have at least {SECRET_LENGTH_MIN} bytes")]
    ShortSecret,
    #[error("the webhook cannot be called")]
    Unreachable(#[source] reqwest::Error),
    #[error("the webhook answered {0}")]
    Refused(StatusCode),
}

impl fmt::Debug for Webhook {
    /// Without the URL, whose path or query may be a secret, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

impl Webhook {
    pub fn new(url: &str, secret: &[u8]) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|_| WebhookError::BadUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookError::BadUrl);
        }
        if secret.len() < SECRET_LENGTH_MIN {
            return Err(WebhookError::ShortSecret);
        }
        // What is signed for one place is not carried on to another.
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(WebhookError::Unreachable)?;
        Ok(Self {
            client,
            url,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        })
    }

    /// Done when the receiver answers 2xx.
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), WebhookError> {
        let body = body(notice);
        let timestamp = notice.created_at.as_seconds().to_string();
        let request = self
            .client
            .post(self.url.clone())
            .header("Content-Type", "application/json")
            .header("X-Strongroom-Event-Id", &notice.event_id)
            .header("X-Strongroom-Timestamp", &timestamp)
            .header("X-Strongroom-Signature", sign(&self.key, &timestamp, &body))
            .body(body);
        let unreachable = |error: reqwest::Error| WebhookError::Unreachable(error.without_url());
        let answer = request.send().await.map_err(unreachable)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(WebhookError::Refused(status)),
        }
    }
}

fn body(notice: &Notice) -> String {
    let mut body = serde_json::to_value(&notice.event.0).unwrap_or_default();
    body["event_id"] = notice.event_id.as_str().into();
    body["created_at"] = notice.created_at.to_keystone().into();
    body.to_string()
}

/// `sha256=` and the hexadecimal HMAC-SHA256 of `TIMESTAMP.BODY`.
fn sign(key: &hmac::Key, timestamp: &str, body: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in [timestamp, ".", body] {
        context.update(part.as_bytes());
    }
    format!("sha256={}", hex::encode(context.sign()))
}

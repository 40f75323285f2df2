//! A long body that is gone on with where its connection broke off.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};

use super::connection::{Connection, Refused, TIMEOUT};

/// A server that has much to look through before it can begin says so, and goes on with it.
const NOT_YET: u16 = 504;
/// As many as may are copied out already.
const TOO_MANY: &str = "Strongroom.1024";
/// Attempts that bring nothing, one after the other.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_secs(2);

/// Brings a body in its order, each byte once.
pub(super) struct Download<'a> {
    connection: &'a Connection,
    path: String,
    etag: HeaderValue,
    size_bytes: u64,
    position: u64,
    /// None while it is asked for the rest.
    answer: Option<Response>,
}

impl<'a> Download<'a> {
    pub(super) async fn begin(connection: &'a Connection, path: String) -> anyhow::Result<Self> {
        let answer = first_answer(connection, &path).await?;
        let etag = answer.headers().get(ETAG).cloned();
        Ok(Self {
            size_bytes: answer
                .content_length()
                .context("the answer has no length")?,
            etag: etag.context("the answer has no entity tag")?,
            connection,
            path,
            position: 0,
            answer: Some(answer),
        })
    }

    /// Of the whole body.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut attempts = 0;
        while self.position < self.size_bytes {
            if let Some(answer) = &mut self.answer
                && let Ok(Ok(Some(bytes))) = tokio::time::timeout(TIMEOUT, answer.chunk()).await
            {
                self.position += bytes.len() as u64;
                ensure!(self.position <= self.size_bytes, "the answer is too long");
                return Ok(Some(bytes));
            }
            self.go_on(&mut attempts).await?;
        }
        Ok(None)
    }

    /// Asks for the rest.
    async fn go_on(&mut self, attempts: &mut u32) -> anyhow::Result<()> {
        // The server counts those who read.
        self.answer = None;
        loop {
            *attempts += 1;
            if *attempts > ATTEMPTS_MAX {
                bail!(
                    "the answer breaks off behind {} of {} bytes again and again; the server's log says why",
                    self.position,
                    self.size_bytes
                );
            }
            tokio::time::sleep(PAUSE).await;
            let rest = HeaderValue::from_str(&format!("bytes={}-", self.position))?;
            let headers = [(RANGE, rest), (IF_RANGE, self.etag.clone())];
            match self
                .connection
                .open(&self.path, headers.into_iter().collect())
                .await
            {
                Ok(answer) if answer.status() == StatusCode::PARTIAL_CONTENT => {
                    self.answer = Some(answer);
                    return Ok(());
                }
                Ok(_) => bail!("the server has something else there by now"),
                Err(error) if error.is::<Refused>() && !is_too_many(&error) => return Err(error),
                // It may be on its way back.
                Err(_) => {}
            }
        }
    }
}

async fn first_answer(connection: &Connection, path: &str) -> anyhow::Result<Response> {
    for _ in 1..ATTEMPTS_MAX {
        match connection.open(path, HeaderMap::new()).await {
            Err(error) if is_not_yet(&error) => {}
            answered => return answered,
        }
    }
    connection.open(path, HeaderMap::new()).await
}

/// It may count the answer that broke off.
fn is_too_many(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.code == TOO_MANY)
}

fn is_not_yet(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.status == NOT_YET)
}

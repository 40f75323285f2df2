use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;
use strongroom_types::{Clock, SystemClock};
use strongroom_wire::signing;

use crate::credentials::Credentials;

/// Also of silence within a long body.
pub(super) const TIMEOUT: Duration = Duration::from_mins(1);

/// A server and the key that signs requests to it.
#[derive(Debug)]
pub(crate) struct Connection {
    http: Client,
    credentials: Credentials,
}

/// An answer that is an error, in the server's words.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code}, HTTP {status})")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Connection {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            http: Client::new(),
            credentials,
        }
    }

    pub(crate) fn project_id(&self) -> &str {
        &self.credentials.project_id
    }

    /// A call under `/v3/{project_id}`, or under the root when the path begins with `//`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// The path on the wire.
    pub(crate) fn full_path(&self, path: &str) -> String {
        match path.strip_prefix("//") {
            Some(root) => format!("/{root}"),
            None => format!("/v3/{}{path}", self.project_id()),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, None).await
    }

    /// What is no JSON.
    pub(crate) async fn download(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.send(Method::GET, path, None).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let bytes = answer.bytes().await.context("the answer broke off")?;
        Ok(bytes.to_vec())
    }

    /// As [`Self::get`]; `None` when the object does not exist.
    pub(crate) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.get(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error)
                if error
                    .downcast_ref::<Refused>()
                    .is_some_and(|refused| refused.status == 404) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.send(method, path, body).await?;
        if answer.status().is_success() {
            return value(answer).await;
        }
        Err(refusal(answer).await)
    }

    /// An answer whose body may take as long as it takes, with these headers beside those of every request.
    pub(super) async fn open(&self, path: &str, headers: HeaderMap) -> anyhow::Result<Response> {
        let mut request = self.request(Method::GET, path, None)?;
        *request.timeout_mut() = None;
        request.headers_mut().extend(headers);
        // So that the server's own refusal comes first.
        let sent = tokio::time::timeout(2 * TIMEOUT, self.http.execute(request)).await;
        let silent = || format!("the server at {} is silent", self.credentials.endpoint);
        let answer = self.answered(sent.with_context(silent)?)?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let request = self.request(method, path, body)?;
        self.answered(self.http.execute(request).await)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<reqwest::Request> {
        let path = self.full_path(path);
        let url = Url::parse(&format!("{}{path}", self.credentials.endpoint))
            .with_context(|| format!("`{}` is not a URL", self.credentials.endpoint))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        self.signed(method, url, body)
    }

    fn answered(&self, sent: reqwest::Result<Response>) -> anyhow::Result<Response> {
        let endpoint = &self.credentials.endpoint;
        sent.with_context(|| format!("the server at {endpoint} does not answer"))
    }

    fn signed(&self, method: Method, url: Url, body: String) -> anyhow::Result<reqwest::Request> {
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => bail!("`{url}` names no host"),
        };
        let headers: [(&str, &[u8]); 3] = [
            ("host", host.as_bytes()),
            ("content-type", b"application/json"),
            ("x-project-id", self.project_id().as_bytes()),
        ];
        let unsigned = signing::Request {
            method: method.as_str(),
            path: url.path(),
            query: url.query().unwrap_or_default(),
            headers: &headers,
            body: body.as_bytes(),
        };
        let signed = signing::sign(
            &unsigned,
            &self.credentials.access_key,
            &self.credentials.secret_key,
            SystemClock.now(),
        )?;
        let request = self
            .http
            .request(method, url)
            .timeout(TIMEOUT)
            .header("host", host)
            .header("content-type", "application/json")
            .header("x-project-id", self.project_id())
            .header(signing::DATE_HEADER, signed.date)
            .header("authorization", signed.authorization)
            .body(body);
        Ok(request.build()?)
    }
}

async fn value(answer: Response) -> anyhow::Result<Value> {
    let text = answer.text().await.context("the answer broke off")?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// What the server said instead of doing it.
async fn refusal(answer: Response) -> anyhow::Error {
    let status = answer.status();
    let value = match value(answer).await {
        Ok(value) => value,
        Err(error) => return error,
    };
    let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let (code, message) = (field("error_code"), field("error_msg"));
    if message.is_empty() {
        return anyhow!("the server answered HTTP {status}: {value}");
    }
    Refused {
        status: status.as_u16(),
        code,
        message,
    }
    .into()
}

/// Percent-encodes a query value or a path segment.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

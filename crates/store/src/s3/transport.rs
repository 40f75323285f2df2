//! Sees each request as it goes out: counts it, and tells answers that may pass from those that will not.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use crate::requests::{RequestKind, Requests};

/// A busy server's answer says little; more of it is not worth reading.
const MESSAGE_MAX: usize = 300;

/// What S3 answers with status 400 to a body that came too slowly, and to one that was changed on its way.
const PASSING_CODES: [&str; 4] = [
    "RequestTimeout",
    "BadDigest",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
];

#[derive(Debug)]
pub(super) struct Connector {
    requests: Arc<Requests>,
}

impl Connector {
    pub(super) fn new(requests: Arc<Requests>) -> Self {
        Self { requests }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Watched {
            client: ReqwestConnector::default().connect(options)?,
            requests: Arc::clone(&self.requests),
        }))
    }
}

#[derive(Debug)]
struct Watched {
    client: HttpClient,
    requests: Arc<Requests>,
}

/// The server answered that it cannot serve this request now.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}: {message}")]
pub(super) struct Busy {
    status: u16,
    message: String,
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.count(kind_of(&request));
        let completes = completes_upload(&request);
        let response = self.client.execute(request).await?;
        let status = response.status().as_u16();
        if completes && status == 200 {
            return completed(response).await;
        }
        if status < 400 || matches!(status, 403 | 404 | 409 | 412 | 416 | 501) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await?;
        let text = String::from_utf8_lossy(&body);
        let is = |code: &&str| text.contains(&format!("<Code>{code}</Code>"));
        let passes = status >= 500
            || matches!(status, 408 | 429)
            || (status == 400 && PASSING_CODES.iter().any(is));
        if passes {
            return Err(busy(status, &text));
        }
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// A server may answer 200 before it has put the parts together, and then says in the body that it could not.
async fn completed(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let body = body.bytes().await?;
    let text = String::from_utf8_lossy(&body);
    if text.contains("<Error>") {
        return Err(busy(parts.status.as_u16(), &text));
    }
    Ok(HttpResponse::from_parts(parts, body.into()))
}

fn busy(status: u16, text: &str) -> HttpError {
    let message = text.chars().take(MESSAGE_MAX).collect();
    HttpError::new(HttpErrorKind::Interrupted, Busy { status, message })
}

fn completes_upload(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "POST" && query.contains("uploadId")
}

fn kind_of(request: &HttpRequest) -> RequestKind {
    match request.method().as_str() {
        "PUT" => RequestKind::Put,
        "HEAD" => RequestKind::Head,
        "DELETE" => RequestKind::Delete,
        "GET"
            if request
                .uri()
                .query()
                .is_some_and(|q| q.contains("list-type")) =>
        {
            RequestKind::List
        }
        "GET" => RequestKind::Get,
        _ => RequestKind::Other,
    }
}

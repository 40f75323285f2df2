//! A bucket of an S3 server as a place for objects.

mod multipart;
mod objects;
mod repeat;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, RetryConfig};

use crate::requests::Requests;
use crate::{Error, Result, Storage};
use objects::S3Objects;
use repeat::Repeater;
use transport::Connector;

/// Who asks, and where.
#[derive(Debug, Clone, Default)]
pub enum S3Access {
    /// What the usual variables of the environment say: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ….
    #[default]
    Environment,
    /// A server with these credentials.
    Server(S3Server),
}

/// An S3 server of one's own.
#[derive(Clone)]
pub struct S3Server {
    /// `http://HOST:PORT` or `https://…`.
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("S3Server");
        shown.field("endpoint", &self.endpoint);
        shown.finish_non_exhaustive()
    }
}

/// What calls to a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For how long a call that fails is repeated, from its first failure on.
    pub patience: Duration,
    /// An answer, or the next part of one, comes within this time or never. A body that is sent gets more, by its length.
    pub silence: Duration,
    /// Requests that are under way at a time.
    pub requests_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_mins(3),
            silence: Duration::from_secs(30),
            requests_at_once: 32,
        }
    }
}

/// Opens a bucket, or the part of it whose names begin with `prefix` and a slash. No request is made yet.
pub fn open_s3(bucket: &str, prefix: &str, access: &S3Access, limits: Limits) -> Result<Storage> {
    let requests = Arc::new(Requests::default());
    let connector = Connector::new(Arc::clone(&requests));
    let builder = addressed(access)
        .with_bucket_name(bucket)
        .with_http_connector(connector)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        // One request for each object, so that each can be repeated.
        .with_disable_bulk_delete(true)
        // `Repeater` repeats, so that it knows what was repeated.
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        // It also sets the time for each attempt, by its size.
        .with_config(
            AmazonS3ConfigKey::Client(ClientConfigKey::Timeout),
            "1 hour",
        )
        .with_config(
            AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout),
            "10 seconds",
        );
    let built = builder.build();
    let s3 = built.map_err(|source| {
        Error::unavailable(format!("prepare requests to the bucket {bucket}"), source)
    })?;
    let repeater = Repeater::new(limits, Arc::clone(&requests));
    let objects = S3Objects::new(PrefixStore::new(s3, Path::from(prefix)), repeater);
    Ok(Storage::s3(Arc::new(objects), requests))
}

fn addressed(access: &S3Access) -> AmazonS3Builder {
    let builder = match access {
        S3Access::Environment => AmazonS3Builder::from_env(),
        S3Access::Server(server) => AmazonS3Builder::new()
            .with_endpoint(&server.endpoint)
            .with_region(&server.region)
            .with_access_key_id(&server.access_key)
            .with_secret_access_key(&server.secret_key),
    };
    // Who writes http:// means it; what is sent is sealed, and secrets are never sent.
    let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoints
        .iter()
        .find_map(|key| builder.get_config_value(key));
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") => builder.with_allow_http(true),
        _ => builder,
    }
}

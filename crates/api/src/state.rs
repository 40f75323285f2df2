use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use strongroom_service::App;
use strongroom_service::contents::ContentStore;
use strongroom_service::replicas::ReplicaStore;

use crate::Limiter;

/// Writes the metrics of this process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub app: App,
    /// Where clients reach this service, when that is not what their `Host` header says.
    pub public_url: Option<String>,
    pub render_metrics: RenderMetrics,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpAddr]>,
    pub limiter: Arc<Limiter>,
    /// Keeps what peers send.
    pub replicas: Arc<dyn ReplicaStore>,
    /// What is copied out.
    pub contents: Arc<dyn ContentStore>,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("app", &self.app)
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

//! A service after its first start, entered as clients do: with tokens, signatures or neither.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use strongroom_service::identity::{FirstCredentials, bootstrap, prepare_bootstrap};
use strongroom_service::peers::NoPeers;
use strongroom_service::{
    App, Db, DiskError, DiskFacts, Disks, GuestAgents, GuestError, GuestFacts, NoMachines,
    SecretSeal, Settings,
};
use strongroom_testkit::{MockClock, SeededIds, test_databases};
use strongroom_types::Role;
use strongroom_wire::signing;
use tower::ServiceExt;

use super::contents::PlayedContents;
use super::server::{NoReplicas, unlimited};
use crate::{ApiState, router};

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const HOST: &str = "127.0.0.1:8799";

#[derive(Debug)]
struct NoDisks;

#[async_trait]
impl Disks for NoDisks {
    async fn examine(&self, _path: &str) -> Result<DiskFacts, DiskError> {
        Err(DiskError::Missing)
    }
}

#[async_trait]
impl GuestAgents for NoDisks {
    async fn ask(&self, _socket: &str) -> Result<GuestFacts, GuestError> {
        Err(GuestError::Unreachable)
    }
}

pub(crate) struct Installation {
    pub(crate) app: App,
    pub(crate) clock: Arc<MockClock>,
    pub(crate) first: FirstCredentials,
    /// The administrator's token for the first project.
    pub(crate) admin: String,
    router: Router,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null when there is none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// `404 Strongroom.1006`, for tables of refusals.
    pub(crate) fn refusal(&self) -> String {
        let code = self.body["error_code"].as_str().unwrap_or("-");
        format!("{} {code}", self.status.as_u16())
    }
}

impl Installation {
    async fn new(db: Db) -> Self {
        let clock = Arc::new(MockClock::default());
        let app = App {
            db,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::default()),
            disks: Arc::new(NoDisks),
            guests: Arc::new(NoDisks),
            machines: Arc::new(NoMachines),
            peers: Arc::new(NoPeers),
            settings: Arc::new(Settings::default()),
            wake: Arc::default(),
            attachments_changed: Arc::default(),
            readers: Arc::default(),
            seal: Arc::new(SecretSeal::new(&[7; 32])),
        };
        let first = prepare_bootstrap(&app).await.unwrap().unwrap();
        assert!(bootstrap(&app, &first).await.unwrap());
        let state = ApiState {
            app: app.clone(),
            public_url: None,
            render_metrics: Arc::new(String::new),
            trusted_proxies: Arc::default(),
            limiter: unlimited(),
            replicas: Arc::new(NoReplicas),
            contents: Arc::new(PlayedContents),
        };
        let mut it = Self {
            app,
            clock,
            first,
            admin: String::new(),
            router: router(state),
        };
        it.admin = it.sign_in("admin", it.first.password.expose()).await;
        it
    }

    /// The path of something in the first project, `/v3/PROJECT/…`.
    pub(crate) fn cbr(&self, rest: &str) -> String {
        format!("/v3/{}/{rest}", self.first.project_id)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// A request with these headers; a null body is none.
    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let request = Request::builder().method(method).uri(target);
        let request = headers
            .iter()
            .fold(request.header("Host", HOST), |request, (name, value)| {
                request.header(*name, *value)
            });
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn with_token(
        &self,
        token: &str,
        method: &str,
        target: &str,
        body: &Value,
    ) -> Answer {
        let headers = [("X-Auth-Token", token)];
        self.request(method, target, &headers, body).await
    }

    pub(crate) async fn as_admin(&self, method: &str, target: &str, body: &Value) -> Answer {
        self.with_token(&self.admin, method, target, body).await
    }

    /// A GET signed as the SDKs do, `host` and the given headers included.
    pub(crate) async fn get_signed(
        &self,
        key: (&str, &str),
        target: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let signed = self.sign(key, "GET", target, headers, "");
        let mut headers = headers.to_vec();
        headers.push(("X-Sdk-Date", &signed.date));
        headers.push(("Authorization", &signed.authorization));
        self.request("GET", target, &headers, &Value::Null).await
    }

    pub(crate) fn sign(
        &self,
        (access_key, secret): (&str, &str),
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> signing::SignedHeaders {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<(&str, &[u8])> = [("Host", HOST)]
            .iter()
            .chain(headers)
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let request = signing::Request {
            method,
            path,
            query,
            headers: &headers,
            body: body.as_bytes(),
        };
        signing::sign(&request, access_key, secret, self.app.now()).unwrap()
    }

    pub(crate) fn first_key(&self) -> (&str, &str) {
        (&self.first.access_key, self.first.secret_key.expose())
    }

    /// A token for the user's oldest project.
    async fn sign_in(&self, name: &str, password: &str) -> String {
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
            {"name": name, "password": password, "domain": {"name": "default"}}}}}});
        let answer = self.request("POST", "/v3/auth/tokens", &[], &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.header("X-Subject-Token").to_owned()
    }

    /// The id of a new user with a role in the first project, and a token of theirs.
    pub(crate) async fn user(&self, name: &str, role: Role) -> (String, String) {
        let body = json!({"name": name, "password": PASSWORD, "role": role,
            "project_id": self.first.project_id});
        let answer = self.as_admin("POST", "/strongroom/v1/users", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let id = answer.body["user"]["id"].as_str().unwrap().to_owned();
        (id, self.sign_in(name, PASSWORD).await)
    }
}

/// Runs one case on a fresh installation over each kind of database.
pub(crate) async fn on_each_installation<F: Future<Output = ()>>(case: impl Fn(Installation) -> F) {
    for database in test_databases().await {
        let db = Db::open(&database.address).await.unwrap();
        case(Installation::new(db.clone()).await).await;
        db.close().await;
    }
}

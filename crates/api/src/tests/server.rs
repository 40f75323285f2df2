use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use strongroom_service::identity::{
    DomainRef, FirstCredentials, NewUser, ProjectRef, Proof, ScopeWish, Secret, UserRef, bootstrap,
    create_user, issue_token, prepare_bootstrap,
};
use strongroom_service::peers::{Comparison, Stretch};
use strongroom_service::replicas::{ReceivedDisk, ReplicaStore};
use strongroom_service::{
    App, Caller, Db, DiskError, DiskFacts, Disks, Error, GuestAgents, GuestError, GuestFacts,
    NoMachines, SecretSeal, Settings, StorageUnitSetting,
};
use strongroom_testkit::{MockClock, SeededIds, test_databases};
use strongroom_types::{GIB, Role, VolumeFormat};
use tower::ServiceExt;

use super::contents::PlayedContents;
use super::peer;
use crate::{ApiState, Limiter, Limits, router};

const PASSWORD: &str = "correct horse battery";

/// Disks that are whatever a test says.
#[derive(Debug, Default)]
pub(crate) struct FakeDisks(Mutex<HashMap<String, DiskFacts>>);

impl FakeDisks {
    /// A raw disk that nobody holds.
    pub(crate) fn put(&self, path: &str, size_gib: u64) {
        let facts = DiskFacts {
            format: VolumeFormat::Raw,
            size_bytes: size_gib * GIB,
            in_use: false,
        };
        self.0.lock().unwrap().insert(path.to_owned(), facts);
    }
}

#[async_trait]
impl Disks for FakeDisks {
    async fn examine(&self, path: &str) -> Result<DiskFacts, DiskError> {
        let known = self.0.lock().unwrap().get(path).cloned();
        known.ok_or(DiskError::Missing)
    }
}

/// Agents of this version answer at sockets whose name says so.
#[async_trait]
impl GuestAgents for FakeDisks {
    async fn ask(&self, socket: &str) -> Result<GuestFacts, GuestError> {
        if !socket.contains("answers") {
            return Err(GuestError::Unreachable);
        }
        let version = "8.2.2".to_owned();
        Ok(GuestFacts { version })
    }
}

/// The one proxy that test servers believe.
pub(crate) const PROXY: &str = "10.0.0.9";

/// For tests whose clock stands still.
pub(crate) fn unlimited() -> Arc<Limiter> {
    Arc::new(Limiter::new(Limits {
        requests_per_second: u32::MAX,
        burst: u32::MAX,
        requests_at_once: u32::MAX,
    }))
}

/// A store that no peer reaches in these tests.
#[derive(Debug)]
pub(crate) struct NoReplicas;

#[async_trait]
impl ReplicaStore for NoReplicas {
    async fn compare(&self, _: &ReceivedDisk, _: &Stretch) -> Result<Comparison, Error> {
        Err(Error::ReplicaEnded)
    }

    async fn receive(&self, _: &ReceivedDisk, _: &Stretch, _: &[u8]) -> Result<(), Error> {
        Err(Error::ReplicaEnded)
    }
}

/// What other installations write for the project.
pub(crate) const UNITS: [&str; 2] = ["unit-a", "unit-b"];

/// Where attached disks are reached over TLS.
pub(crate) const ATTACH_TLS: &str = "backup.example:10809";

/// Whose credentials a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    Admin,
    Reader,
}

/// An installation after its first start, with one administrator and one reader of its one project.
pub(crate) struct TestServer {
    router: Router,
    pub(crate) app: App,
    pub(crate) clock: Arc<MockClock>,
    pub(crate) disks: Arc<FakeDisks>,
    pub(crate) project: String,
    admin: String,
    reader: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            return Value::Null;
        }
        self.json()
    }

    /// `6105 404`, without the family of the code.
    #[track_caller]
    pub(crate) fn refusal(&self) -> String {
        let body = self.json();
        let code = body["error_code"]
            .as_str()
            .unwrap_or_else(|| panic!("{body}"));
        let number = code.strip_prefix("BackupService.").unwrap_or(code);
        format!("{number} {}", self.status.as_u16())
    }
}

/// Runs one case against a fresh installation on each kind of database.
pub(crate) async fn on_each_server<F: Future<Output = ()>>(case: impl Fn(Arc<TestServer>) -> F) {
    for database in test_databases().await {
        eprintln!("on {}", database.kind);
        let db = Db::open(&database.address).await.unwrap();
        case(Arc::new(TestServer::new(db.clone()).await)).await;
        db.close().await;
    }
}

impl TestServer {
    pub(crate) async fn new(db: Db) -> Self {
        let disks = Arc::new(FakeDisks::default());
        let clock = Arc::new(MockClock::default());
        let mut app = App {
            db,
            clock: clock.clone(),
            ids: Arc::new(SeededIds::default()),
            disks: disks.clone(),
            guests: disks.clone(),
            machines: Arc::new(NoMachines),
            peers: Arc::new(peer::OneVault),
            settings: Arc::new(Settings::default()),
            wake: Arc::default(),
            attachments_changed: Arc::default(),
            readers: Arc::default(),
            seal: Arc::new(SecretSeal::new(&[7; 32])),
        };
        let first = prepare_bootstrap(&app).await.unwrap().unwrap();
        app.settings = Arc::new(settings_for(&first));
        assert!(bootstrap(&app, &first).await.unwrap());
        add_reader(&app, &first).await;
        let state = ApiState {
            app: app.clone(),
            public_url: None,
            render_metrics: Arc::new(|| "strongroom_up 1\n".to_owned()),
            trusted_proxies: Arc::from([PROXY.parse().unwrap()]),
            limiter: unlimited(),
            replicas: Arc::new(NoReplicas),
            contents: Arc::new(PlayedContents),
        };
        Self {
            router: router(state),
            clock,
            disks,
            project: first.project_id.to_string(),
            admin: sign_in(&app, "admin", first.password).await,
            reader: sign_in(&app, "reader", Secret::new(PASSWORD.to_owned())).await,
            app,
        }
    }

    /// The same server behind another router.
    pub(crate) fn with_router(&self, router: Router) -> Self {
        Self {
            router,
            ..self.in_project(&self.project)
        }
    }

    /// A token of the administrator that is good for a project.
    pub(crate) async fn token_for(&self, project: &str) -> String {
        let proof = Proof::Token(Secret::new(self.admin.clone()));
        let wish = ScopeWish::Project(ProjectRef::Id(project.to_owned()));
        let issued = issue_token(&self.app, proof, wish).await.unwrap();
        issued.token.expose().to_owned()
    }

    /// The same server, where `{project_id}` is another project.
    pub(crate) fn in_project(&self, project: &str) -> Self {
        Self {
            router: self.router.clone(),
            app: self.app.clone(),
            clock: self.clock.clone(),
            disks: self.disks.clone(),
            project: project.to_owned(),
            admin: self.admin.clone(),
            reader: self.reader.clone(),
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The answer whose body is still to be read.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A request whose `{project_id}` is the installation's project.
    pub(crate) fn request(
        &self,
        who: Who,
        method: &str,
        path: &str,
    ) -> axum::http::request::Builder {
        let path = path.replace("{project_id}", &self.project);
        let method: Method = method.parse().unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "localhost");
        match who {
            Who::Nobody => request,
            Who::Admin => request.header("X-Auth-Token", &self.admin),
            Who::Reader => request.header("X-Auth-Token", &self.reader),
        }
    }

    pub(crate) async fn call(&self, who: Who, method: &str, path: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = self
            .request(who, method, path)
            .header("Content-Type", "application/json");
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Who::Admin, "GET", path, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Who::Admin, "POST", path, &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Who::Admin, "PUT", path, &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Who::Admin, "DELETE", path, &Value::Null).await
    }

    /// A server of one disk of 40 GiB in the inventory; its id.
    pub(crate) async fn add_server(&self, name: &str) -> String {
        let path = format!("/disks/{name}.raw");
        self.disks.put(&path, 40);
        let body = json!({"name": name, "disks": [path]});
        let added = self.post("/strongroom/v1/{project_id}/servers", body).await;
        let added = added.expect(201);
        added["server"]["id"].as_str().unwrap().to_owned()
    }

    /// A server vault of 200 GB; its id.
    pub(crate) async fn add_vault(&self, name: &str) -> String {
        let created = self.post("/v3/{project_id}/vaults", vault_body(name)).await;
        created.expect(200)["vault"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

pub(crate) fn vault_body(name: &str) -> Value {
    json!({"vault": {
        "billing": {
            "cloud_type": "public",
            "consistent_level": "crash_consistent",
            "object_type": "server",
            "protect_type": "backup",
            "size": 200
        },
        "name": name,
        "resources": []
    }})
}

fn settings_for(first: &FirstCredentials) -> Settings {
    let unit = |name: &str| StorageUnitSetting {
        name: name.to_owned(),
        project_id: first.project_id.clone(),
    };
    Settings {
        storage_units: UNITS.into_iter().map(unit).collect(),
        peers: vec![peer::setting(first.project_id.clone())],
        attach_tls: Some(ATTACH_TLS.to_owned()),
        ..Settings::default()
    }
}

async fn add_reader(app: &App, first: &FirstCredentials) {
    let admin = Caller {
        user_id: first.user_id.clone(),
        user_name: first.user_name.clone(),
        domain_id: first.domain_id.clone(),
        project_id: Some(first.project_id.clone()),
        role: Some(Role::Admin),
        request_id: String::new(),
    };
    let reader = NewUser {
        name: "reader".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        project_id: first.project_id.clone(),
        role: Role::Reader,
    };
    create_user(app, &admin, reader).await.unwrap();
}

async fn sign_in(app: &App, name: &str, password: Secret) -> String {
    let user = UserRef::Name {
        name: name.to_owned(),
        domain: DomainRef::Name("default".to_owned()),
    };
    let proof = Proof::Password { user, password };
    let issued = issue_token(app, proof, ScopeWish::Unsaid).await.unwrap();
    issued.token.expose().to_owned()
}

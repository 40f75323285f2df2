//! Every case runs on SQLite and on PostgreSQL.

mod administration;
mod keys;
mod secrets;
mod tokens;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_db::{Db, Membership};
use strongroom_testkit::{MockClock, SeededIds, test_databases};
use strongroom_types::Role;

use super::{
    DomainRef, FirstCredentials, NewUser, Proof, ScopeWish, Secret, UserRef, UserView,
    add_membership, authenticate_token, bootstrap, create_user, issue_token, prepare_bootstrap,
};
use crate::peers::NoPeers;
use crate::{
    App, Caller, DiskError, DiskFacts, Disks, Error, GuestAgents, GuestError, GuestFacts,
    NoMachines, SecretSeal, Settings,
};

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

/// An installation after its first start.
struct Installation {
    app: App,
    clock: Arc<MockClock>,
    first: FirstCredentials,
    admin: Caller,
}

const PASSWORD: &str = "correct horse";

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
        let mut installation = Self {
            admin: Caller {
                user_id: first.user_id.clone(),
                user_name: first.user_name.clone(),
                domain_id: first.domain_id.clone(),
                project_id: None,
                role: None,
                request_id: String::new(),
            },
            app,
            clock,
            first,
        };
        installation.admin = installation.sign_in("admin").await;
        installation
    }

    fn password(&self, name: &str) -> Secret {
        if name == "admin" {
            self.first.password.clone()
        } else {
            Secret::new(PASSWORD.to_owned())
        }
    }

    fn proof(&self, name: &str) -> Proof {
        Proof::Password {
            user: UserRef::Name {
                name: name.to_owned(),
                domain: DomainRef::Name("default".to_owned()),
            },
            password: self.password(name),
        }
    }

    async fn token(&self, name: &str, wish: ScopeWish) -> Result<Secret, Error> {
        let issued = issue_token(&self.app, self.proof(name), wish).await?;
        Ok(issued.token)
    }

    async fn sign_in(&self, name: &str) -> Caller {
        let token = self.token(name, ScopeWish::Unsaid).await.unwrap();
        self.caller(&token).await.unwrap()
    }

    async fn caller(&self, token: &Secret) -> Result<Caller, Error> {
        authenticate_token(&self.app, token.expose(), "request".to_owned()).await
    }

    /// A user with a role in the first project.
    async fn user(&self, name: &str, role: Role) -> UserView {
        let new = NewUser {
            name: name.to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
            project_id: self.first.project_id.clone(),
            role,
        };
        create_user(&self.app, &self.admin, new).await.unwrap()
    }

    async fn join(
        &self,
        user: &UserView,
        project_id: &strongroom_types::ProjectId,
        role: Role,
    ) -> Result<UserView, Error> {
        let membership = Membership {
            user_id: user.account.id.clone(),
            project_id: project_id.clone(),
            role,
        };
        add_membership(&self.app, &self.admin, membership).await
    }
}

async fn on_each_installation<F: Future<Output = ()>>(case: impl Fn(Installation) -> F) {
    for database in test_databases().await {
        let db = Db::open(&database.address).await.unwrap();
        case(Installation::new(db.clone()).await).await;
        db.close().await;
    }
}

fn is_unauthenticated<T: std::fmt::Debug>(outcome: &Result<T, Error>) {
    assert!(
        matches!(outcome, Err(Error::Unauthenticated)),
        "{outcome:?}"
    );
}

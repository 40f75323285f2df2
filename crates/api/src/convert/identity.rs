use std::time::Duration;

use strongroom_service::identity::{
    DomainRef, NewAccessKey, NewUser, ProjectRef, ProjectView, Proof, ScopeWish, Secret,
    TemporaryKey, TokenView, UserRef, UserView,
};
use strongroom_service::rows::{Domain, Project};
use strongroom_types::ProjectId;
use strongroom_wire::Code;
use strongroom_wire::administration as ours;
use strongroom_wire::identity::{
    Auth, CatalogEndpoint, CatalogService, Identity, KeystoneDomain, KeystoneProject, KeystoneTime,
    Links, NamedOrId, PasswordUser, Scope, ScopePart, ScopeProject, SecretText, SelfLink,
    TemporaryCredential, Token, TokenDomain, TokenMethod, TokenProject, TokenRole, TokenUser,
};

use crate::ApiError;

/// Ids of the catalog's entries: the same in every installation, as they name nothing that could be looked up.
const CBR_SERVICE_ID: &str = "6362720000000000000000000000c001";
const CBR_ENDPOINT_ID: &str = "6362720000000000000000000000e001";
const IDENTITY_SERVICE_ID: &str = "6964656e746974790000000000000c01";
const IDENTITY_ENDPOINT_ID: &str = "6964656e746974790000000000000e01";

fn bad(message: &str) -> ApiError {
    ApiError::new(Code::InvalidParameter, message)
}

/// What the request proves and what it wants.
pub(crate) fn sign_in(auth: Auth) -> Result<(Proof, ScopeWish), ApiError> {
    Ok((proof(auth.identity)?, scope(auth.scope)?))
}

fn proof(identity: Identity) -> Result<Proof, ApiError> {
    match (
        identity.methods.as_slice(),
        identity.password,
        identity.token,
    ) {
        ([method], Some(password), _) if method == "password" => {
            let PasswordUser {
                id,
                name,
                domain,
                password,
            } = password.user;
            Ok(Proof::Password {
                user: user(id, name, domain)?,
                password: Secret::new(password.0),
            })
        }
        ([method], _, Some(TokenMethod { id: Some(id), .. })) if method == "token" => {
            Ok(Proof::Token(Secret::new(id.0)))
        }
        _ => Err(bad(
            "Invalid auth.identity provided: it must hold one of the methods password and token, and what that method needs.",
        )),
    }
}

fn user(
    id: Option<String>,
    name: Option<String>,
    domain: Option<NamedOrId>,
) -> Result<UserRef, ApiError> {
    match (id, name, domain.map(domain_ref)) {
        (Some(id), _, _) => Ok(UserRef::Id(id)),
        (None, Some(name), Some(domain)) => Ok(UserRef::Name {
            name,
            domain: domain?,
        }),
        _ => Err(bad(
            "Invalid auth.identity.password.user provided: it must have an id, or a name and a domain.",
        )),
    }
}

fn domain_ref(domain: NamedOrId) -> Result<DomainRef, ApiError> {
    match (domain.id, domain.name) {
        (Some(id), _) => Ok(DomainRef::Id(id)),
        (None, Some(name)) => Ok(DomainRef::Name(name)),
        (None, None) => Err(bad(
            "Invalid domain provided: it must have an id or a name.",
        )),
    }
}

fn scope(scope: Option<Scope>) -> Result<ScopeWish, ApiError> {
    let unclear =
        || bad("Invalid auth.scope provided: it must be a project, a domain or unscoped.");
    let part = match scope {
        None => return Ok(ScopeWish::Unsaid),
        Some(Scope::Word(word)) if word == "unscoped" => return Ok(ScopeWish::Unscoped),
        Some(Scope::Word(_)) => return Err(unclear()),
        Some(Scope::Part(part)) => part,
    };
    match part {
        ScopePart {
            project: Some(project),
            ..
        } => Ok(ScopeWish::Project(project_ref(project)?)),
        ScopePart {
            domain: Some(domain),
            ..
        } => Ok(ScopeWish::Domain(domain_ref(domain)?)),
        ScopePart {
            unscoped: Some(_), ..
        } => Ok(ScopeWish::Unscoped),
        // `"scope": {}`, as some clients send when they want none.
        _ => Ok(ScopeWish::Unsaid),
    }
}

fn project_ref(project: ScopeProject) -> Result<ProjectRef, ApiError> {
    match (project.id, project.name) {
        (Some(id), _) => Ok(ProjectRef::Id(id)),
        (None, Some(name)) => Ok(ProjectRef::Name {
            name,
            domain: project.domain.map(domain_ref).transpose()?,
        }),
        (None, None) => Err(bad(
            "Invalid auth.scope.project provided: it must have an id or a name.",
        )),
    }
}

/// The token to make a temporary key from (none: the one that the request came with) and the key's lifetime.
pub(crate) fn temporary_key_request(
    auth: Auth,
) -> Result<(Option<Secret>, Option<Duration>), ApiError> {
    if auth.identity.methods != ["token"] {
        return Err(bad(
            "Invalid auth.identity.methods provided: only the method token is offered here.",
        ));
    }
    let method = auth.identity.token.unwrap_or(TokenMethod {
        id: None,
        duration_seconds: None,
    });
    let token = method.id.map(|id| Secret::new(id.0));
    Ok((token, method.duration_seconds.map(Duration::from_secs)))
}

pub(crate) fn token(view: TokenView, catalog: Option<Vec<CatalogService>>) -> Token {
    Token {
        methods: view.methods,
        issued_at: KeystoneTime(view.issued_at),
        expires_at: KeystoneTime(view.expires_at),
        user: TokenUser {
            id: view.user_id,
            name: view.user_name,
            domain: token_domain(view.user_domain),
            password_expires_at: String::new(),
        },
        project: view
            .project
            .map(|ProjectView { project, domain }| TokenProject {
                id: project.id,
                name: project.name,
                domain: token_domain(domain),
            }),
        domain: view.domain.map(token_domain),
        roles: view
            .role
            .into_iter()
            .map(|role| TokenRole {
                id: role.to_string(),
                name: role.to_string(),
            })
            .collect(),
        catalog,
    }
}

fn token_domain(domain: Domain) -> TokenDomain {
    TokenDomain {
        id: domain.id,
        name: domain.name,
    }
}

/// Where the services are: CBR for tokens of a project, identity for all.
pub(crate) fn catalog(
    base_url: &str,
    region: &str,
    project: Option<&ProjectId>,
) -> Vec<CatalogService> {
    let service = |id: &str, kind: &str, endpoint_id: &str, url: String| CatalogService {
        id: id.to_owned(),
        name: kind.to_owned(),
        kind: kind.to_owned(),
        endpoints: vec![CatalogEndpoint {
            id: endpoint_id.to_owned(),
            interface: "public".to_owned(),
            region: region.to_owned(),
            region_id: region.to_owned(),
            url,
        }],
    };
    let cbr = project.map(|project| {
        let url = format!("{base_url}/v3/{project}");
        service(CBR_SERVICE_ID, "cbr", CBR_ENDPOINT_ID, url)
    });
    let identity = service(
        IDENTITY_SERVICE_ID,
        "identity",
        IDENTITY_ENDPOINT_ID,
        format!("{base_url}/v3"),
    );
    cbr.into_iter().chain([identity]).collect()
}

pub(crate) fn keystone_project(base_url: &str, project: Project) -> KeystoneProject {
    KeystoneProject {
        links: SelfLink {
            this: format!("{base_url}/v3/projects/{}", project.id),
        },
        id: project.id,
        name: project.name,
        parent_id: project.domain_id.clone(),
        domain_id: project.domain_id,
        is_domain: false,
        enabled: true,
        description: String::new(),
    }
}

pub(crate) fn keystone_domain(base_url: &str, domain: Domain) -> KeystoneDomain {
    KeystoneDomain {
        links: SelfLink {
            this: format!("{base_url}/v3/domains/{}", domain.id),
        },
        id: domain.id,
        name: domain.name,
        enabled: true,
        description: String::new(),
    }
}

pub(crate) fn links(this: String) -> Links {
    Links {
        this,
        next: None,
        previous: None,
    }
}

pub(crate) fn temporary_credential(key: TemporaryKey) -> TemporaryCredential {
    TemporaryCredential {
        access: key.access_key,
        secret: secret_text(&key.secret),
        securitytoken: secret_text(&key.security_token),
        expires_at: KeystoneTime(key.expires_at),
    }
}

fn secret_text(secret: &Secret) -> SecretText {
    SecretText(secret.expose().to_owned())
}

pub(crate) fn project(project: Project) -> ours::Project {
    ours::Project {
        id: project.id,
        name: project.name,
        domain_id: project.domain_id,
        created_at: project.created_at.into(),
    }
}

pub(crate) fn new_user(request: ours::CreateUserRequest) -> NewUser {
    NewUser {
        name: request.name,
        password: Secret::new(request.password.0),
        project_id: request.project_id,
        role: request.role,
    }
}

pub(crate) fn user_of(view: UserView) -> ours::User {
    ours::User {
        id: view.account.id,
        name: view.account.name,
        domain_id: view.account.domain_id,
        created_at: view.account.created_at.into(),
        memberships: view
            .memberships
            .into_iter()
            .map(|membership| ours::Membership {
                project_id: membership.project_id,
                role: membership.role,
            })
            .collect(),
    }
}

pub(crate) fn new_access_key(new: NewAccessKey) -> ours::NewAccessKey {
    ours::NewAccessKey {
        secret_key: secret_text(&new.secret),
        access_key: new.view.access_key,
        user_id: new.view.user_id,
        created_at: new.view.created_at.into(),
    }
}

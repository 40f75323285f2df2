//! The identity service in Keystone's shapes: what clients exchange before and around CBR's calls.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom_types::{DomainId, ProjectId, Timestamp, UserId};
use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

/// A password, key or token: written to the wire and to nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .into()
    }
}

impl ToSchema for SecretText {
    fn name() -> Cow<'static, str> {
        "Secret".into()
    }
}

/// A time as Keystone writes it, `2020-08-17T03:51:24.678916Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeystoneTime(pub Timestamp);

impl Serialize for KeystoneTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_keystone())
    }
}

impl<'de> Deserialize<'de> for KeystoneTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for KeystoneTime {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for KeystoneTime {
    fn name() -> Cow<'static, str> {
        "KeystoneTime".into()
    }
}

// Requests.

/// `POST /v3/auth/tokens`, and with the token method `POST /v3.0/OS-CREDENTIAL/securitytokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuthRequest {
    pub auth: Auth,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Auth {
    pub identity: Identity,
    #[serde(default)]
    pub scope: Option<Scope>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// `password` or `token`.
    pub methods: Vec<String>,
    #[serde(default)]
    pub password: Option<PasswordMethod>,
    #[serde(default)]
    pub token: Option<TokenMethod>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PasswordMethod {
    pub user: PasswordUser,
}

/// A user by id, or by name and domain.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PasswordUser {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub domain: Option<NamedOrId>,
    pub password: SecretText,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenMethod {
    /// Where it is optional, `X-Auth-Token` stands in for it.
    #[serde(default)]
    pub id: Option<SecretText>,
    /// How long a temporary key is to last, in seconds.
    #[serde(default)]
    pub duration_seconds: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NamedOrId {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
}

/// What the token is to be good for: one of its parts, or the word `unscoped`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Scope {
    Word(String),
    Part(ScopePart),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ScopePart {
    #[serde(default)]
    pub project: Option<ScopeProject>,
    #[serde(default)]
    pub domain: Option<NamedOrId>,
    #[serde(default)]
    pub unscoped: Option<Empty>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Empty {}

/// A project by id, or by name; without a domain the user's own is meant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScopeProject {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub domain: Option<NamedOrId>,
}

/// Which projects or domains to list: those of that name.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByNameQuery {
    pub name: Option<String>,
}

// Answers.

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    pub token: Token,
}

/// What a token says; the token itself travels in a header.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    pub methods: Vec<String>,
    pub issued_at: KeystoneTime,
    pub expires_at: KeystoneTime,
    pub user: TokenUser,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<TokenProject>,
    /// Of a token scoped to a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<TokenDomain>,
    pub roles: Vec<TokenRole>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Vec<CatalogService>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenUser {
    pub id: UserId,
    pub name: String,
    pub domain: TokenDomain,
    /// Passwords do not expire: empty.
    pub password_expires_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenProject {
    pub id: ProjectId,
    pub name: String,
    pub domain: TokenDomain,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenDomain {
    pub id: DomainId,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenRole {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogAnswer {
    pub catalog: Vec<CatalogService>,
    pub links: Links,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogService {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    #[schema(example = "cbr")]
    pub kind: String,
    pub endpoints: Vec<CatalogEndpoint>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogEndpoint {
    pub id: String,
    pub interface: String,
    pub region: String,
    pub region_id: String,
    pub url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeystoneProjectList {
    pub projects: Vec<KeystoneProject>,
    pub links: Links,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeystoneProject {
    pub id: ProjectId,
    pub name: String,
    pub domain_id: DomainId,
    /// Projects are not nested: the domain.
    pub parent_id: DomainId,
    pub is_domain: bool,
    pub enabled: bool,
    pub description: String,
    pub links: SelfLink,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DomainList {
    pub domains: Vec<KeystoneDomain>,
    pub links: Links,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeystoneDomain {
    pub id: DomainId,
    pub name: String,
    pub enabled: bool,
    pub description: String,
    pub links: SelfLink,
}

/// The list is whole: there is neither a next nor a previous part.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Links {
    #[serde(rename = "self")]
    pub this: String,
    #[schema(required)]
    pub next: Option<String>,
    #[schema(required)]
    pub previous: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SelfLink {
    #[serde(rename = "self")]
    pub this: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IdentityVersionAnswer {
    pub version: IdentityVersion,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IdentityVersion {
    #[schema(example = "v3.14")]
    pub id: String,
    pub status: String,
    pub updated: String,
    pub links: Vec<VersionLink>,
    #[serde(rename = "media-types")]
    pub media_types: Vec<MediaType>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionLink {
    pub rel: String,
    pub href: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MediaType {
    pub base: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TemporaryKeyAnswer {
    pub credential: TemporaryCredential,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TemporaryCredential {
    pub access: String,
    pub secret: SecretText,
    pub securitytoken: SecretText,
    pub expires_at: KeystoneTime,
}

/// The body of every refusal on the identity paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityErrorBody {
    pub error: IdentityError,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityError {
    #[schema(example = 401)]
    pub code: u16,
    pub message: String,
    #[schema(example = "Unauthorized")]
    pub title: String,
}

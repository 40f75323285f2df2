//! Asks peers over HTTP, as their `/strongroom/v1/replication` answers.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_service::peers::{
    BegunDisk, BegunReplica, Comparison, DiskDigest, ExternalVault, ExternalVaultList,
    ExternalVaults, NewReplica, PeerError, Peers, ReplicaState, Stretch,
};
use strongroom_types::{BackupId, GIB, ObjectType, ProjectId, ProtectType, VaultId, VaultStatus};
use strongroom_wire::CbrTime;
use strongroom_wire::link::{
    BeginReplicaAnswer, BeginReplicaDisk, BeginReplicaRequest, CommitReplicaDisk,
    CommitReplicaRequest, CompareAnswer, PEER_HEADER, ReplicaAnswer, ReplicaRules, TOKEN_HEADER,
};
use strongroom_wire::vaults::{Vault, VaultList};
use zeroize::Zeroizing;

use crate::client::encode;

/// A stretch of 16 MiB passes in it over a link of 4 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(55);
/// MB in a GB, as vaults count.
const MB_PER_GB: u64 = GIB >> 20;

/// The peers of the configuration, by region.
#[derive(Debug)]
pub(crate) struct HttpPeers {
    /// What this installation calls itself.
    own_region: String,
    http: Client,
    peers: BTreeMap<String, Peer>,
}

/// Where a peer is, and the secret that both sides know.
pub(crate) struct Peer {
    pub(crate) endpoint: String,
    pub(crate) token: Zeroizing<String>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl HttpPeers {
    pub(crate) fn new(
        own_region: String,
        peers: BTreeMap<String, Peer>,
    ) -> Result<Self, reqwest::Error> {
        // A redirection would take the token elsewhere.
        let http = Client::builder().redirect(redirect::Policy::none());
        Ok(Self {
            own_region,
            http: http.build()?,
            peers,
        })
    }

    fn request(
        &self,
        region: &str,
        method: Method,
        path: &str,
    ) -> Result<RequestBuilder, PeerError> {
        let peer = self.peers.get(region);
        let peer = peer.ok_or_else(|| PeerError::UnknownRegion {
            region: region.to_owned(),
        })?;
        let url = format!("{}/strongroom/v1/replication{path}", peer.endpoint);
        let request = self.http.request(method, url).timeout(PATIENCE);
        Ok(request
            .header(PEER_HEADER, &self.own_region)
            .header(TOKEN_HEADER, peer.token.as_str()))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        region: &str,
        request: RequestBuilder,
    ) -> Result<T, PeerError> {
        let answer = send(region, request).await?;
        answer
            .json()
            .await
            .map_err(|error| unavailable(region, &error))
    }
}

fn unavailable(region: &str, error: &reqwest::Error) -> PeerError {
    PeerError::Unavailable {
        region: region.to_owned(),
        // Without the URL, which tenants need not know.
        detail: if error.is_timeout() {
            "it took too long".to_owned()
        } else if error.is_connect() {
            "it cannot be reached".to_owned()
        } else {
            "the answer broke off".to_owned()
        },
    }
}

/// An answer that is none of the errors.
async fn send(region: &str, request: RequestBuilder) -> Result<Response, PeerError> {
    let answer = request.send().await;
    let answer = answer.map_err(|error| unavailable(region, &error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let region = region.to_owned();
    if status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
    {
        return Err(PeerError::Unavailable {
            region,
            detail: format!("it answered {status}"),
        });
    }
    let body: serde_json::Value = answer.json().await.unwrap_or_default();
    let field = |name: &str| {
        let text = body.get(name).and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (code, message) = (field("error_code"), field("error_msg"));
    if code == strongroom_wire::Code::ReplicaStale.as_str() {
        return Err(PeerError::Stale { region });
    }
    Err(PeerError::Refused {
        region,
        message: if message.is_empty() {
            format!("it answered {status}")
        } else {
            message
        },
        code,
    })
}

#[async_trait]
impl Peers for HttpPeers {
    async fn list_vaults(
        &self,
        region: &str,
        query: &ExternalVaults,
    ) -> Result<ExternalVaultList, PeerError> {
        let list: VaultList = self.vaults(region, query).await?;
        let vaults = list.vaults.iter().map(serde_json::to_value);
        let vaults = vaults.collect::<Result<_, _>>();
        Ok(ExternalVaultList {
            vaults: vaults.map_err(|_| PeerError::Unavailable {
                region: region.to_owned(),
                detail: "the answer cannot be understood".to_owned(),
            })?,
            count: list.count,
        })
    }

    async fn find_vault(
        &self,
        region: &str,
        project: &ProjectId,
        vault: &VaultId,
    ) -> Result<Option<ExternalVault>, PeerError> {
        let query = ExternalVaults {
            project_id: project.clone(),
            vault_id: Some(vault.clone()),
            object_type: None,
            protect_type: None,
            cloud_type: None,
            page: strongroom_service::rows::Page::first(1),
        };
        let list = self.vaults(region, &query).await?;
        Ok(list.vaults.first().map(external))
    }

    async fn begin(&self, region: &str, new: &NewReplica) -> Result<BegunReplica, PeerError> {
        let request = self.request(region, Method::POST, "/replicas")?;
        let refused = |what: &str| PeerError::Refused {
            region: region.to_owned(),
            code: String::new(),
            message: format!("the {what} cannot be sent"),
        };
        let body = begin_request(new).ok_or_else(|| refused("name of the copy"))?;
        let answer: BeginReplicaAnswer = self.ask(region, json(request, &body)).await?;
        let block_key = hex32(&answer.block_key).ok_or_else(|| refused("key of the blocks"))?;
        let disks = answer.disks.into_iter().map(|disk| BegunDisk {
            source_backup_id: disk.source_backup_id,
            backup_id: disk.backup_id,
        });
        Ok(BegunReplica {
            checkpoint_id: answer.checkpoint_id,
            backup_id: answer.backup_id,
            block_key,
            is_committed: answer.is_committed,
            disks: disks.collect(),
        })
    }

    async fn compare(&self, region: &str, stretch: &Stretch) -> Result<Comparison, PeerError> {
        let path = format!("{}/compare", path_of(stretch));
        let request = self.request(region, Method::POST, &path)?;
        let request = request.body(stretch.ids.concat());
        let answer: CompareAnswer = self.ask(region, request).await?;
        Ok(if answer.same {
            Comparison::Same
        } else {
            Comparison::Lacking(answer.lacking)
        })
    }

    async fn send(
        &self,
        region: &str,
        stretch: &Stretch,
        blocks: Vec<u8>,
    ) -> Result<(), PeerError> {
        let count = u16::try_from(stretch.ids.len()).expect("a stretch has 256 blocks at most");
        let mut body = count.to_le_bytes().to_vec();
        body.extend(stretch.ids.as_flattened());
        body.extend(blocks);
        let request = self.request(region, Method::PUT, &path_of(stretch))?;
        send(region, request.body(body)).await.map(drop)
    }

    async fn commit(
        &self,
        region: &str,
        replica: &BackupId,
        digests: &[DiskDigest],
    ) -> Result<(), PeerError> {
        let disk = |digest: &DiskDigest| CommitReplicaDisk {
            backup_id: digest.backup_id.clone(),
            digest: hex(&digest.digest)
                .parse()
                .expect("64 hex digits are printable"),
        };
        let body = CommitReplicaRequest {
            disks: digests.iter().map(disk).collect(),
        };
        let path = format!("/replicas/{replica}/commit");
        let request = self.request(region, Method::POST, &path)?;
        send(region, json(request, &body)).await.map(drop)
    }

    async fn status(&self, region: &str, replica: &BackupId) -> Result<ReplicaState, PeerError> {
        let request = self.request(region, Method::GET, &format!("/replicas/{replica}"))?;
        let answer: ReplicaAnswer = self.ask(region, request).await?;
        Ok(ReplicaState {
            status: answer.status,
            progress: answer.progress,
            message: answer.message,
        })
    }
}

impl HttpPeers {
    async fn vaults(&self, region: &str, query: &ExternalVaults) -> Result<VaultList, PeerError> {
        let mut path = format!(
            "/vaults?project_id={}&limit={}&offset={}",
            query.project_id, query.page.limit, query.page.offset
        );
        let vault_id = query.vault_id.as_ref().map(VaultId::to_string);
        let filters = [
            ("vault_id", &vault_id),
            ("object_type", &query.object_type),
            ("protect_type", &query.protect_type),
            ("cloud_type", &query.cloud_type),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                path = format!("{path}&{name}={}", encode(value));
            }
        }
        self.ask(region, self.request(region, Method::GET, &path)?)
            .await
    }
}

fn external(vault: &Vault) -> ExternalVault {
    let billing = &vault.billing;
    ExternalVault {
        takes_replicas: billing.protect_type == ProtectType::Replication
            && billing.object_type == ObjectType::Server,
        is_available: billing.status == VaultStatus::Available,
        is_full: billing.used >= billing.size * MB_PER_GB && !vault.auto_expand,
    }
}

fn path_of(stretch: &Stretch) -> String {
    format!("/disks/{}/stretches/{}", stretch.disk_id, stretch.number)
}

fn json(request: RequestBuilder, body: &impl Serialize) -> RequestBuilder {
    request.json(body)
}

/// Nothing if a text is none that the wire takes.
fn begin_request(new: &NewReplica) -> Option<BeginReplicaRequest> {
    let disks = new.disks.iter().map(|disk| {
        Some(BeginReplicaDisk {
            source_backup_id: disk.source_backup_id.clone(),
            volume_id: disk.volume_id.clone(),
            name: disk.name.parse().ok()?,
            size_bytes: disk.size_bytes,
            system_disk: disk.system_disk,
        })
    });
    Some(BeginReplicaRequest {
        replication_id: new.replication_id.clone(),
        source_project_id: new.source_project_id.clone(),
        source_checkpoint_id: new.source_checkpoint_id.clone(),
        source_backup_id: new.source_backup_id.clone(),
        destination_project_id: new.destination_project_id.clone(),
        destination_vault_id: new.destination_vault_id.clone(),
        name: new.name.parse().ok()?,
        description: new.description.parse().ok()?,
        auto_trigger: new.auto_trigger,
        rules: new.rules.as_ref().map(|rules| ReplicaRules {
            policy_id: rules.policy_id.clone(),
            retention: rules.retention.clone(),
        }),
        server_id: new.server_id.clone(),
        server_name: new.server_name.parse().ok()?,
        protected_at: CbrTime(new.protected_at),
        disks: disks.collect::<Option<_>>()?,
    })
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

fn hex32(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text)
        .ok()
        .map(|hash| *hash.as_bytes())
}

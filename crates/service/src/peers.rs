//! Other installations of this service, each the owner of a region: what is asked of them, and who of them may ask.

use std::fmt::Debug;

use async_trait::async_trait;
use aws_lc_rs::{constant_time, digest};
use strongroom_db::Page;
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, PolicyId, ProjectId, ReplicationId, ResourceId,
    Retention, Timestamp, VaultId,
};

use crate::{App, Error};

/// A peer as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSetting {
    pub region: String,
    /// SHA-256 of the token that both sides know.
    pub token_sha256: [u8; 32],
    pub projects: Vec<ProjectPair>,
}

/// Two projects whose backups may go to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPair {
    pub here: ProjectId,
    pub there: ProjectId,
}

impl PeerSetting {
    pub(crate) fn joins(&self, here: &ProjectId, there: &ProjectId) -> bool {
        let mut pairs = self.projects.iter();
        pairs.any(|pair| pair.here == *here && pair.there == *there)
    }
}

/// Names a block of a disk during one transfer: a keyed hash, all zero for a block of zeros.
pub type BlockId = [u8; 32];

/// Asks peers. The binary implements it over HTTP; [`NoPeers`] has none, and tests have one in memory.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    async fn list_vaults(
        &self,
        region: &str,
        query: &ExternalVaults,
    ) -> Result<ExternalVaultList, PeerError>;

    /// `None`: the peer has no such vault in that project, or keeps it to itself.
    async fn find_vault(
        &self,
        region: &str,
        project: &ProjectId,
        vault: &VaultId,
    ) -> Result<Option<ExternalVault>, PeerError>;

    /// May be asked again; the same transfer makes the same replica.
    async fn begin(&self, region: &str, new: &NewReplica) -> Result<BegunReplica, PeerError>;

    /// Asks which blocks of a stretch of a disk have to be sent.
    async fn compare(&self, region: &str, stretch: &Stretch) -> Result<Comparison, PeerError>;

    /// Sends the blocks that are lacking, one behind the other; durable when it returns.
    async fn send(&self, region: &str, stretch: &Stretch, blocks: Vec<u8>)
    -> Result<(), PeerError>;

    /// Everything was sent: the digests say what the disks must hold.
    async fn commit(
        &self,
        region: &str,
        replica: &BackupId,
        digests: &[DiskDigest],
    ) -> Result<(), PeerError>;

    async fn status(&self, region: &str, replica: &BackupId) -> Result<ReplicaState, PeerError>;
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    #[error("no peer has the region {region}")]
    UnknownRegion { region: String },
    /// Ask again later.
    #[error("the peer of the region {region} did not answer: {detail}")]
    Unavailable { region: String, detail: String },
    /// What is asked for has changed meanwhile: compare again.
    #[error("the peer of the region {region} has another state by now")]
    Stale { region: String },
    #[error("the peer of the region {region} refused: {message} ({code})")]
    Refused {
        region: String,
        code: String,
        message: String,
    },
}

#[derive(Debug, Clone)]
pub struct ExternalVaults {
    pub project_id: ProjectId,
    pub vault_id: Option<VaultId>,
    pub object_type: Option<String>,
    pub protect_type: Option<String>,
    pub cloud_type: Option<String>,
    pub page: Page,
}

/// Vaults of a peer, in the shape of the wire.
#[derive(Debug, Clone, Default)]
pub struct ExternalVaultList {
    pub vaults: Vec<serde_json::Value>,
    pub count: u64,
}

/// What has to be known of a vault before something is sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalVault {
    pub takes_replicas: bool,
    pub is_available: bool,
    pub is_full: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplica {
    pub replication_id: ReplicationId,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
    pub name: String,
    pub description: String,
    pub auto_trigger: bool,
    /// Of a copy that a policy sends; any other stays until somebody deletes it.
    pub rules: Option<ReplicaRules>,
    pub server_id: ResourceId,
    pub server_name: String,
    /// The instant whose data it is.
    pub protected_at: Timestamp,
    pub disks: Vec<NewReplicaDisk>,
}

/// Under which rules a copy is kept where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRules {
    /// The policy, in the region that the copy comes from.
    pub policy_id: PolicyId,
    pub retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplicaDisk {
    pub source_backup_id: BackupId,
    pub volume_id: ResourceId,
    pub name: String,
    pub size_bytes: u64,
    pub system_disk: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunReplica {
    pub checkpoint_id: CheckpointId,
    pub backup_id: BackupId,
    /// Keys the ids of blocks.
    pub block_key: [u8; 32],
    /// Everything was sent, and the destination has been told so.
    pub is_committed: bool,
    pub disks: Vec<BegunDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunDisk {
    pub source_backup_id: BackupId,
    pub backup_id: BackupId,
}

/// A part of a disk, by the ids of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The disk's backup at the destination.
    pub disk_id: BackupId,
    pub number: u64,
    pub ids: Vec<BlockId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The destination has the stretch as it is.
    Same,
    /// Numbers of blocks within the stretch, rising; with none of them it can still be put together.
    Lacking(Vec<u32>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDigest {
    pub backup_id: BackupId,
    pub digest: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaState {
    pub status: BackupStatus,
    pub progress: u64,
    /// Why it has failed.
    pub message: String,
}

/// An installation that stands alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

impl NoPeers {
    fn unknown<T>(region: &str) -> Result<T, PeerError> {
        Err(PeerError::UnknownRegion {
            region: region.to_owned(),
        })
    }
}

#[async_trait]
impl Peers for NoPeers {
    async fn list_vaults(
        &self,
        region: &str,
        _: &ExternalVaults,
    ) -> Result<ExternalVaultList, PeerError> {
        Self::unknown(region)
    }

    async fn find_vault(
        &self,
        region: &str,
        _: &ProjectId,
        _: &VaultId,
    ) -> Result<Option<ExternalVault>, PeerError> {
        Self::unknown(region)
    }

    async fn begin(&self, region: &str, _: &NewReplica) -> Result<BegunReplica, PeerError> {
        Self::unknown(region)
    }

    async fn compare(&self, region: &str, _: &Stretch) -> Result<Comparison, PeerError> {
        Self::unknown(region)
    }

    async fn send(&self, region: &str, _: &Stretch, _: Vec<u8>) -> Result<(), PeerError> {
        Self::unknown(region)
    }

    async fn commit(&self, region: &str, _: &BackupId, _: &[DiskDigest]) -> Result<(), PeerError> {
        Self::unknown(region)
    }

    async fn status(&self, region: &str, _: &BackupId) -> Result<ReplicaState, PeerError> {
        Self::unknown(region)
    }
}

/// A peer that has shown its token.
#[derive(Debug, Clone)]
pub struct PeerCaller {
    pub peer: PeerSetting,
    pub request_id: String,
}

/// Which peer asks. A region that is not known and a wrong token are told apart by nobody.
pub fn authenticate(
    app: &App,
    region: &str,
    token: &str,
    request_id: &str,
) -> Result<PeerCaller, Error> {
    let shown = digest::digest(&digest::SHA256, token.as_bytes());
    let peers = app.settings.peers.iter();
    let mut known = peers.filter(|peer| {
        let same = constant_time::verify_slices_are_equal(&peer.token_sha256, shown.as_ref());
        same.is_ok() && peer.region == region
    });
    let peer = known.next().ok_or(Error::Unauthenticated)?;
    Ok(PeerCaller {
        peer: peer.clone(),
        request_id: request_id.to_owned(),
    })
}

//! Another region, as far as handlers ask it.

use async_trait::async_trait;
use serde_json::Value;
use strongroom_service::peers::{
    BegunReplica, Comparison, DiskDigest, ExternalVault, ExternalVaultList, ExternalVaults,
    NewReplica, PeerError, PeerSetting, Peers, ProjectPair, ReplicaState, Stretch,
};
use strongroom_types::{BackupId, ProjectId, VaultId};

pub(crate) const REGION: &str = "region-2";
/// The project there that the project of test servers is joined with.
pub(crate) const PROJECT: &str = "fedcba9876543210fedcba9876543210";
/// Its one vault.
pub(crate) const VAULT: &str = "5f0c3f6e-2a41-4c8e-9d53-0a4f7be1c201";

/// A peer with one vault for replicas.
#[derive(Debug)]
pub(crate) struct OneVault;

pub(crate) fn setting(here: ProjectId) -> PeerSetting {
    PeerSetting {
        region: REGION.to_owned(),
        token_sha256: [7; 32],
        projects: vec![ProjectPair {
            here,
            there: PROJECT.parse().unwrap(),
        }],
    }
}

/// Only workers send anything.
fn never<T>() -> Result<T, PeerError> {
    Err(PeerError::Unavailable {
        region: REGION.to_owned(),
        detail: "a test".to_owned(),
    })
}

#[async_trait]
impl Peers for OneVault {
    async fn list_vaults(
        &self,
        _: &str,
        _: &ExternalVaults,
    ) -> Result<ExternalVaultList, PeerError> {
        let created: Value =
            serde_json::from_str(include_str!("golden/vault_created.json")).unwrap();
        let vaults = vec![created["vault"].clone()];
        Ok(ExternalVaultList { vaults, count: 1 })
    }

    async fn find_vault(
        &self,
        _: &str,
        _: &ProjectId,
        vault: &VaultId,
    ) -> Result<Option<ExternalVault>, PeerError> {
        let found = ExternalVault {
            takes_replicas: true,
            is_available: true,
            is_full: false,
        };
        Ok((vault.as_str() == VAULT).then_some(found))
    }

    async fn begin(&self, _: &str, _: &NewReplica) -> Result<BegunReplica, PeerError> {
        never()
    }

    async fn compare(&self, _: &str, _: &Stretch) -> Result<Comparison, PeerError> {
        never()
    }

    async fn send(&self, _: &str, _: &Stretch, _: Vec<u8>) -> Result<(), PeerError> {
        never()
    }

    async fn commit(&self, _: &str, _: &BackupId, _: &[DiskDigest]) -> Result<(), PeerError> {
        never()
    }

    async fn status(&self, _: &str, _: &BackupId) -> Result<ReplicaState, PeerError> {
        never()
    }
}

use strongroom_service::peers::{
    BegunReplica, DiskDigest, NewReplica, NewReplicaDisk, ReplicaRules,
};
use strongroom_service::rows::VaultFilter;
use strongroom_wire::link::{
    BeginReplicaAnswer, BeginReplicaDisk, BeginReplicaRequest, BegunDisk, CommitReplicaRequest,
    PeerVaultsQuery,
};

use crate::ApiError;

pub(crate) fn peer_filter(query: PeerVaultsQuery) -> VaultFilter {
    VaultFilter {
        ids: query.vault_id.into_iter().collect(),
        protect_type: query.protect_type,
        cloud_type: query.cloud_type,
        object_type: query.object_type,
        ..VaultFilter::default()
    }
}

pub(crate) fn new_replica(request: BeginReplicaRequest) -> NewReplica {
    let disk = |disk: BeginReplicaDisk| NewReplicaDisk {
        source_backup_id: disk.source_backup_id,
        volume_id: disk.volume_id,
        name: disk.name.into_string(),
        size_bytes: disk.size_bytes,
        system_disk: disk.system_disk,
    };
    NewReplica {
        replication_id: request.replication_id,
        source_project_id: request.source_project_id,
        source_checkpoint_id: request.source_checkpoint_id,
        source_backup_id: request.source_backup_id,
        destination_project_id: request.destination_project_id,
        destination_vault_id: request.destination_vault_id,
        name: request.name.into_string(),
        description: request.description.into_string(),
        auto_trigger: request.auto_trigger,
        rules: request.rules.map(|rules| ReplicaRules {
            policy_id: rules.policy_id,
            retention: rules.retention,
        }),
        server_id: request.server_id,
        server_name: request.server_name.into_string(),
        protected_at: request.protected_at.0,
        disks: request.disks.into_iter().map(disk).collect(),
    }
}

pub(crate) fn begun(replica: BegunReplica) -> BeginReplicaAnswer {
    let disks = replica.disks.into_iter().map(|disk| BegunDisk {
        source_backup_id: disk.source_backup_id,
        backup_id: disk.backup_id,
    });
    BeginReplicaAnswer {
        checkpoint_id: replica.checkpoint_id,
        backup_id: replica.backup_id,
        block_key: hex::encode(replica.block_key),
        is_committed: replica.is_committed,
        disks: disks.collect(),
    }
}

pub(crate) fn digests(request: CommitReplicaRequest) -> Result<Vec<DiskDigest>, ApiError> {
    let disks = request.disks.into_iter();
    let digests = disks.map(|disk| {
        let mut digest = [0; 32];
        hex::decode_to_slice(disk.digest.as_str(), &mut digest)
            .map_err(|_| ApiError::invalid("digest"))?;
        Ok(DiskDigest {
            backup_id: disk.backup_id,
            digest,
        })
    });
    digests.collect()
}

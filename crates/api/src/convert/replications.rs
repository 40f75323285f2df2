use strongroom_service::peers::{ExternalVaultList, ExternalVaults};
use strongroom_service::rows::{Page, Replication};
use strongroom_wire::CbrTime;
use strongroom_wire::replications::{ListExternalVaultsQuery, ReplicationExtra, ReplicationRecord};
use strongroom_wire::vaults::VaultList;

use super::{DEFAULT_LIMIT, page};
use crate::ApiError;
use crate::error::code_of_trouble;

pub(crate) fn external_query(query: ListExternalVaultsQuery) -> ExternalVaults {
    let filtered = query.vault_id.is_none();
    let object_type = query.object_type.or(query.objcet_type);
    ExternalVaults {
        project_id: query.external_project_id,
        vault_id: query.vault_id,
        object_type: object_type
            .filter(|_| filtered)
            .map(|word| word.to_string()),
        protect_type: query
            .protect_type
            .filter(|_| filtered)
            .map(|word| word.to_string()),
        cloud_type: query
            .cloud_type
            .filter(|_| filtered)
            .map(|word| word.to_string()),
        page: page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT),
    }
}

/// What a peer says is checked like a request.
pub(crate) fn external_list(listed: ExternalVaultList, page: &Page) -> Result<VaultList, ApiError> {
    let vaults = listed.vaults.into_iter().map(serde_json::from_value);
    let vaults = vaults.collect::<Result<_, _>>();
    Ok(VaultList {
        vaults: vaults
            .map_err(|error| ApiError::internal(format_args!("a peer's vault: {error}")))?,
        count: listed.count,
        offset: page.offset,
        limit: page.limit,
    })
}

pub(crate) fn replication_record(row: Replication, region: &str) -> ReplicationRecord {
    let code = row.trouble.map(|trouble| code_of_trouble(trouble).as_str());
    ReplicationRecord {
        id: row.id,
        status: row.status,
        created_at: CbrTime(row.created_at),
        vault_id: row.vault_id,
        source_region: region.to_owned(),
        source_project_id: row.project_id,
        source_checkpoint_id: row.checkpoint_id,
        source_backup_id: row.backup_id,
        destination_region: row.destination_region,
        destination_project_id: row.destination_project_id,
        destination_checkpoint_id: row.destination_checkpoint_id,
        destination_backup_id: row.destination_backup_id,
        extra_info: ReplicationExtra {
            auto_trigger: row.auto_trigger,
            destination_vault_id: row.destination_vault_id.clone(),
            destinatio_vault_id: row.destination_vault_id.clone(),
            progress: row.progress,
            fail_code: code.unwrap_or_default().to_owned(),
            fail_reason: row.trouble_message,
        },
        destination_vault_id: row.destination_vault_id,
    }
}

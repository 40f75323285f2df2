use strongroom_service::backups::{BackupView, NewRestore};
use strongroom_service::provider_of_resource;
use strongroom_service::rows::{
    self, BackupFilter, BackupSort, BackupSortKey, Ownership, Page, RetentionFilter,
};
use strongroom_types::{BackupStatus, MemberStatus, ResourceType, VaultId};
use strongroom_wire::CbrTime;
use strongroom_wire::backups::{
    AppConsistency, Backup, BackupExtra, ListBackupsQuery, OwnType, RestoreMapping, RestoreRequest,
};
use strongroom_wire::values::Label;

use super::replications::replication_record;
use super::{DEFAULT_LIMIT, check_count, enterprise_project, page, sort_by, unsigned};
use crate::ApiError;

/// What a list row shows beside the row itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) availability_zone: &'a str,
    pub(crate) replication: bool,
    /// This region, where copies come from.
    pub(crate) region: &'a str,
}

pub(crate) fn backup(view: BackupView, shown: Shown<'_>) -> Backup {
    let place = Place {
        vault_id: view.vault_id,
        enterprise_project_id: view.enterprise_project_id,
    };
    let children = view.children.into_iter();
    let children = children
        .map(|child| one(child, vec![], &place, shown))
        .collect();
    let records = view.replications.into_iter();
    let records = records.map(|row| replication_record(row, shown.region));
    Backup {
        replication_records: shown.replication.then(|| records.collect()),
        ..one(view.backup, children, &place, shown)
    }
}

/// Where the asking project has a backup.
struct Place {
    vault_id: Option<VaultId>,
    enterprise_project_id: String,
}

fn one(row: rows::Backup, children: Vec<Backup>, place: &Place, shown: Shown<'_>) -> Backup {
    let extend_info = extra(&row);
    Backup {
        provider_id: provider_of_resource(row.resource_type).to_owned(),
        id: row.id,
        name: row.name,
        description: row.description,
        checkpoint_id: row.checkpoint_id,
        parent_id: row.parent_id,
        project_id: row.project_id,
        vault_id: place.vault_id.clone(),
        resource_id: row.resource_id,
        resource_name: row.resource_name,
        resource_type: row.resource_type,
        resource_size: row.resource_size_gb,
        resource_az: shown.availability_zone.to_owned(),
        status: row.status,
        image_type: row.image_type,
        incremental: row.incremental,
        created_at: CbrTime(row.created_at),
        updated_at: CbrTime(row.updated_at),
        protected_at: row.protected_at.map(CbrTime),
        expired_at: row.expired_at.map(CbrTime),
        enterprise_project_id: place.enterprise_project_id.clone(),
        scheduled_operation_id: row.policy_id,
        version: 3,
        extend_info,
        children,
        replication_records: shown.replication.then(Vec::new),
    }
}

fn extra(row: &rows::Backup) -> BackupExtra {
    let of_server = row.resource_type == ResourceType::Server;
    let being_made = matches!(
        row.status,
        BackupStatus::WaitingProtect | BackupStatus::Protecting
    );
    let restorable = matches!(
        row.status,
        BackupStatus::Available | BackupStatus::WaitingRestore | BackupStatus::Restoring
    );
    BackupExtra {
        auto_trigger: row.auto_trigger,
        bootable: (!of_server).then_some(row.system_disk),
        contain_system_disk: of_server.then_some(row.system_disk),
        system_disk: !of_server && row.system_disk,
        os_images_data: None,
        progress: (being_made || !of_server).then_some(row.progress),
        snapshot_id: None,
        support_lld: false,
        supported_restore_mode: of_server
            .then(|| if restorable { "backup" } else { "na" }.to_owned()),
        is_multi_az: false,
        encrypted: false,
        encrypted_algorithm: None,
        is_dec: false,
        app_consistency: of_server
            .then(|| app_consistency(row.quiesce.as_ref().map(|quiesce| &quiesce.0))),
    }
}

/// The first word says whether the vault asked for it, the second whether the guest's file systems stood still. No code of
/// the published list fits a guest that did not.
pub(super) fn app_consistency(quiesce: Option<&rows::Quiesce>) -> AppConsistency {
    let word = |is_so: bool| if is_so { "1" } else { "0" }.to_owned();
    AppConsistency {
        app_consistency: word(quiesce.is_some()),
        app_consistency_status: word(matches!(quiesce, Some(rows::Quiesce::Frozen { .. }))),
        app_consistency_error_code: "0".to_owned(),
        app_consistency_error_message: match quiesce {
            Some(rows::Quiesce::Failed { reason }) => reason.clone(),
            Some(rows::Quiesce::Frozen { .. }) | None => String::new(),
        },
    }
}

pub(crate) fn backup_filter(query: ListBackupsQuery) -> Result<BackupFilter, ApiError> {
    check_count("status", &query.status, 0..=64)?;
    Ok(BackupFilter {
        ownership: ownership(query.own_type, query.member_status),
        checkpoint_id: query.checkpoint_id,
        vault_id: query.vault_id,
        resource_id: query.resource_id,
        resource_type: query.resource_type,
        resource_name: query.resource_name.map(Label::into_string),
        name: query.name.map(Label::into_string),
        image_type: query.image_type,
        statuses: query.status,
        parent_id: query.parent_id,
        start_time: query.start_time.map(|time| time.0),
        end_time: query.end_time.map(|time| time.0),
        incremental: query.incremental,
        used_percent: query.used_percent.map(|percent| unsigned(percent.get())),
        enterprise_project_id: enterprise_project(query.enterprise_project_id),
        retention: match query.existed_quantity_based_retention_backups {
            Some(true) => RetentionFilter::ByQuantity,
            Some(false) | None => RetentionFilter::Any,
        },
    })
}

/// A shared backup that nobody has accepted is none of the project's until it is asked for.
fn ownership(own_type: Option<OwnType>, answer: Option<MemberStatus>) -> Ownership {
    let answers = answer.into_iter().collect::<Vec<_>>();
    match own_type {
        None | Some(OwnType::Private) => Ownership::Own,
        Some(OwnType::Shared) => Ownership::Shared(answers),
        Some(OwnType::AllGranted) if answers.is_empty() => {
            Ownership::All(vec![MemberStatus::Accepted])
        }
        Some(OwnType::AllGranted) => Ownership::All(answers),
    }
}

pub(crate) fn backup_page(query: &ListBackupsQuery) -> Page {
    let marker = query.marker.as_ref();
    page(query.limit, query.offset, marker, DEFAULT_LIMIT)
}

pub(crate) fn backup_sort(text: Option<&Label>) -> Result<Vec<BackupSort>, ApiError> {
    sort_by(text, |key, direction| {
        let key = match key {
            "created_at" => BackupSortKey::CreatedAt,
            "updated_at" => BackupSortKey::UpdatedAt,
            "protected_at" => BackupSortKey::ProtectedAt,
            "name" => BackupSortKey::Name,
            "status" => BackupSortKey::Status,
            "id" => BackupSortKey::Id,
            _ => return None,
        };
        Some(BackupSort { key, direction })
    })
}

pub(crate) fn new_restore(request: RestoreRequest) -> Result<NewRestore, ApiError> {
    let mappings = request.mappings.unwrap_or_default();
    check_count("mappings", &mappings, 0..=256)?;
    let mapping = |mapping: RestoreMapping| rows::RestoreMapping {
        backup_id: mapping.backup_id,
        volume_id: mapping.volume_id,
    };
    Ok(NewRestore {
        server_id: request.server_id,
        volume_id: request.volume_id,
        mappings: mappings.into_iter().map(mapping).collect(),
        power_on: request.power_on.unwrap_or(true),
        of_files: request.resource_id.is_some() || request.details.is_some(),
    })
}

use strongroom_service::checkpoints::{
    CheckpointResource as ResourceView, CheckpointView, NewCheckpoint, Selection,
};
use strongroom_service::rows;
use strongroom_types::{PolicyId, mib_ceil};
use strongroom_wire::CbrTime;
use strongroom_wire::checkpoints::{
    Checkpoint, CheckpointExtra, CheckpointParameters, CheckpointRequest, CheckpointResource,
    CheckpointVault, SkippedResource,
};
use strongroom_wire::resources::ResourceExtra;
use strongroom_wire::values::{Description, Name, RetentionDays, ShortText};

use super::check_count;
use super::resources::new_resource;
use crate::ApiError;
use crate::error::code_of_trouble;

pub(crate) fn new_checkpoint(request: CheckpointRequest) -> Result<NewCheckpoint, ApiError> {
    let parameters = request.parameters.unwrap_or_default();
    Ok(NewCheckpoint {
        vault_id: request.vault_id,
        incremental: parameters.incremental.unwrap_or(true),
        auto_trigger: parameters.auto_trigger.unwrap_or(false),
        retention_days: parameters
            .retention_duration_days
            .unwrap_or(RetentionDays::FOREVER)
            .get(),
        selection: selection(&parameters)?,
        policy_id: policy_id(&parameters)?,
        name: parameters.name.map(Name::into_string),
        description: parameters
            .description
            .map_or_else(String::new, Description::into_string),
    })
}

/// An empty text is none.
fn policy_id(parameters: &CheckpointParameters) -> Result<Option<PolicyId>, ApiError> {
    let id = parameters.policy_id.as_ref().map(ShortText::as_str);
    let id = id.filter(|id| !id.is_empty()).map(str::parse).transpose();
    id.map_err(|_| ApiError::invalid("checkpoint.parameters.policy_id"))
}

/// An empty list says as much as none: every resource. Both lists at once say the same thing twice.
fn selection(parameters: &CheckpointParameters) -> Result<Selection, ApiError> {
    let ids = parameters.resources.clone().unwrap_or_default();
    let details = parameters.resource_details.clone().unwrap_or_default();
    check_count("parameters.resources", &ids, 0..=256)?;
    check_count("parameters.resource_details", &details, 0..=256)?;
    Ok(match (ids.is_empty(), details.is_empty()) {
        (true, true) => Selection::WholeVault,
        (_, false) => Selection::Details(details.into_iter().map(new_resource).collect()),
        (false, true) => Selection::Resources(ids),
    })
}

pub(crate) fn checkpoint(view: CheckpointView) -> Result<Checkpoint, ApiError> {
    let row = view.checkpoint;
    let resources: Result<_, _> = view.resources.into_iter().map(resource).collect();
    let skipped = row.skipped_resources.0.into_iter().map(skipped);
    Ok(Checkpoint {
        id: row.id,
        project_id: row.project_id,
        status: row.status,
        vault: CheckpointVault {
            id: row.vault_id,
            name: view.vault_name,
            resources: resources?,
            skipped_resources: skipped.collect(),
        },
        created_at: CbrTime(row.created_at),
        extra_info: CheckpointExtra {
            name: row.name,
            description: row.description,
            retention_duration: row.retention_days,
        },
    })
}

fn resource(view: ResourceView) -> Result<CheckpointResource, ApiError> {
    let extra = ResourceExtra {
        exclude_volumes: (!view.exclude_volumes.is_empty()).then_some(view.exclude_volumes),
        include_volumes: None,
    };
    Ok(CheckpointResource {
        id: view.id,
        resource_type: view.resource_type,
        name: view.name,
        extra_info: serde_json::to_string(&extra).map_err(ApiError::internal)?,
        resource_size: view.size_gb.to_string(),
        backup_size: mib_ceil(view.backup_bytes).to_string(),
        backup_size_multiaz: "0".to_owned(),
        backup_count: view.backup_count.to_string(),
        protect_status: view.protect_status,
        auto_protect: if view.auto_protect { "True" } else { "False" }.to_owned(),
    })
}

fn skipped(row: rows::SkippedResource) -> SkippedResource {
    SkippedResource {
        id: row.id,
        resource_type: row.resource_type,
        name: row.name,
        code: code_of_trouble(row.trouble).as_str().to_owned(),
        reason: row.reason,
    }
}

//! Totals, and what each protected resource's backups take.

use serde::{Deserialize, Serialize};
use strongroom_types::{ResourceId, ResourceType};
use utoipa::{IntoParams, ToSchema};

use crate::values::{Offset, PageLimit};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// GB.
    pub size: u64,
    /// GB, rounded up.
    pub used_size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageUsageList {
    pub storage_usage: Vec<StorageUsage>,
    /// How many resources pass the filters, on all pages.
    pub resource_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageUsage {
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub resource_type: ResourceType,
    pub backup_count: u64,
    /// Bytes.
    pub backup_size: u64,
    /// Nothing is stored in several zones.
    pub backup_size_multiaz: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListStorageUsageQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last resource of the page before.
    pub marker: Option<ResourceId>,
    pub resource_id: Option<ResourceId>,
    pub resource_type: Option<ResourceType>,
}

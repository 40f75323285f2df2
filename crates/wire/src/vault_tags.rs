//! Tags of vaults as resources of their own, under the singular `/vault/`.

use serde::{Deserialize, Serialize};
use strongroom_types::{CloudType, ObjectType, VaultId};
use utoipa::ToSchema;

use crate::tags::{NewTag, Tag};
use crate::values::{Label, OffsetText, PageLimitText, TagText};
use crate::vaults::Vault;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateTagRequest {
    pub tag: NewTag,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeTagsRequest {
    pub action: ChangeTagsAction,
    #[schema(max_items = 20)]
    pub tags: Option<Vec<ChangedTag>>,
    /// An enterprise project is chosen when a vault is created: only an empty list is taken.
    #[schema(max_items = 0)]
    pub sys_tags: Option<Vec<SysTag>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeTagsAction {
    Create,
    Delete,
}

/// Whoever deletes need not know the value, and the key may be one that could not be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedTag {
    pub key: TagText,
    pub value: Option<TagText>,
}

/// What the service itself knows about a vault, in the form of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SysTag {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultTags {
    pub tags: Vec<Tag>,
    pub sys_tags: Vec<SysTag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectTags {
    pub tags: Vec<TagValues>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagValues {
    pub key: String,
    pub values: Vec<String>,
}

/// Which vaults to find or count. The parts that are given must all hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindVaultsRequest {
    pub action: FindVaultsAction,
    /// A number written as text; for `filter` only.
    pub limit: Option<PageLimitText>,
    pub offset: Option<OffsetText>,
    /// Only vaults without tags; whatever is asked of tags besides is left alone.
    pub without_any_tag: Option<bool>,
    /// The vault has all of these,
    #[schema(max_items = 20)]
    pub tags: Option<Vec<TagFilter>>,
    /// at least one of these,
    #[schema(max_items = 20)]
    pub tags_any: Option<Vec<TagFilter>>,
    /// not all of these,
    #[schema(max_items = 20)]
    pub not_tags: Option<Vec<TagFilter>>,
    /// and none of these.
    #[schema(max_items = 20)]
    pub not_tags_any: Option<Vec<TagFilter>>,
    /// `_sys_enterprise_project_id`; for administrators.
    #[schema(max_items = 1)]
    pub sys_tags: Option<Vec<TagFilter>>,
    #[schema(max_items = 1)]
    pub matches: Option<Vec<NameFilter>>,
    pub cloud_type: Option<CloudType>,
    pub object_type: Option<ObjectType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindVaultsAction {
    Filter,
    Count,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagFilter {
    pub key: TagText,
    /// One of these; any when empty. A text after a `*` need only be contained.
    #[schema(max_items = 20)]
    pub values: Vec<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameFilter {
    pub key: NameFilterKey,
    /// A part of the name; empty finds empty names alone, of which there are none.
    pub value: Label,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NameFilterKey {
    ResourceName,
}

/// `count` answers the number alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundVaults {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<FoundVault>>,
    pub total_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundVault {
    pub resource_id: VaultId,
    pub resource_name: String,
    pub resource_detail: FoundVaultDetail,
    pub tags: Vec<Tag>,
    pub sys_tags: Vec<SysTag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundVaultDetail {
    pub vault: Vault,
}

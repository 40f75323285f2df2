use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::values::{TagKey, TagValue};

/// A tag that a request sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewTag {
    pub key: TagKey,
    pub value: TagValue,
}

/// A tag as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// Which resources a vault with `auto_bind` takes in. An empty list asks for no particular tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewBindRules {
    #[schema(max_items = 20)]
    pub tags: Option<Vec<NewTag>>,
}

/// `{}` when never set, `{"tags":[]}` once emptied: clients meet both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BindRules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
}

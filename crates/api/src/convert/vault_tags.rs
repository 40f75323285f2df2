use std::collections::HashSet;

use strongroom_service::rows::{self, NameMatch, Page, TagMatch, Tagged, TaggedVaultFilter};
use strongroom_service::vaults::VaultView;
use strongroom_wire::Code;
use strongroom_wire::tags::NewTag;
use strongroom_wire::values::{Label, TagKey, TagText, TagValue};
use strongroom_wire::vault_tags::{
    ChangeTagsRequest, ChangedTag, FindVaultsRequest, FoundVault, FoundVaultDetail, NameFilter,
    SysTag, TagFilter,
};

use super::vaults::vault;
use super::{DEFAULT_LIMIT, check_count, enterprise_project, page};
use crate::ApiError;
use crate::params::EnterpriseQuery;

/// The one key of a system tag.
const ENTERPRISE_PROJECT: &str = "_sys_enterprise_project_id";
/// Entries of one filter, and values of one entry.
const FILTER_MAX: usize = 20;
/// Tags in one change.
const CHANGED_MAX: usize = 20;

pub(crate) fn new_tag(tag: NewTag) -> rows::Tag {
    rows::Tag {
        key: tag.key.into_string(),
        value: tag.value.into_string(),
    }
}

pub(crate) fn tags_to_put(request: ChangeTagsRequest) -> Result<Vec<rows::Tag>, ApiError> {
    let tags = changed(request)?;
    let mut keys = HashSet::new();
    if !tags
        .iter()
        .all(|tag| keys.insert(tag.key.as_str().to_owned()))
    {
        let message = "Invalid tags provided: a key is there twice.";
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    let row = |tag: ChangedTag| {
        let value = tag.value.ok_or_else(|| ApiError::invalid("tags[].value"))?;
        Ok(rows::Tag {
            key: parsed::<TagKey>("tags[].key", &tag.key)?.into_string(),
            value: parsed::<TagValue>("tags[].value", &value)?.into_string(),
        })
    };
    tags.into_iter().map(row).collect()
}

fn parsed<T: std::str::FromStr<Err = &'static str>>(
    field: &str,
    text: &TagText,
) -> Result<T, ApiError> {
    text.as_str().parse().map_err(|rule| {
        let message = format!("Invalid {field} provided: {rule}.");
        ApiError::new(Code::InvalidParameter, message)
    })
}

pub(crate) fn keys_to_delete(request: ChangeTagsRequest) -> Result<Vec<String>, ApiError> {
    let tags = changed(request)?.into_iter();
    Ok(tags.map(|tag| tag.key.into_string()).collect())
}

fn changed(request: ChangeTagsRequest) -> Result<Vec<ChangedTag>, ApiError> {
    check_count("sys_tags", &request.sys_tags.unwrap_or_default(), 0..=0)?;
    let tags = request.tags.unwrap_or_default();
    check_count("tags", &tags, 0..=CHANGED_MAX)?;
    Ok(tags)
}

pub(crate) fn enterprise_sys_tag(vault: &rows::Vault) -> SysTag {
    SysTag {
        key: ENTERPRISE_PROJECT.to_owned(),
        value: vault.enterprise_project_id.clone(),
    }
}

pub(crate) fn find_page(request: &FindVaultsRequest) -> Page {
    let limit = request.limit.map(|limit| limit.0);
    let offset = request.offset.map(|offset| offset.0);
    page(limit, offset, None::<String>, DEFAULT_LIMIT)
}

/// What to look for. The `sys_tags` of a request are for callers who may see across enterprise projects.
pub(crate) fn find_filter(
    request: FindVaultsRequest,
    query: EnterpriseQuery,
    is_admin: bool,
) -> Result<TaggedVaultFilter, ApiError> {
    let mut enterprise_project_ids: Vec<String> = enterprise_project(query.enterprise_project_id)
        .into_iter()
        .collect();
    for filter in request.sys_tags.into_iter().flatten() {
        if !is_admin {
            return Err(ApiError::of(Code::Forbidden));
        }
        if filter.key.as_str() != ENTERPRISE_PROJECT {
            return Err(ApiError::invalid("sys_tags[].key"));
        }
        check_count("sys_tags[].values", &filter.values, 0..=FILTER_MAX)?;
        enterprise_project_ids.extend(filter.values.into_iter().map(Label::into_string));
    }
    let filter = TaggedVaultFilter {
        name: name(request.matches)?,
        object_type: request.object_type,
        cloud_type: request.cloud_type,
        enterprise_project_ids,
        ..TaggedVaultFilter::default()
    };
    if request.without_any_tag == Some(true) {
        return Ok(TaggedVaultFilter {
            tagged: Tagged::Never,
            ..filter
        });
    }
    Ok(TaggedVaultFilter {
        tags: matches("tags", request.tags)?,
        tags_any: matches("tags_any", request.tags_any)?,
        not_tags: matches("not_tags", request.not_tags)?,
        not_tags_any: matches("not_tags_any", request.not_tags_any)?,
        ..filter
    })
}

fn name(matches: Option<Vec<NameFilter>>) -> Result<NameMatch, ApiError> {
    let matches = matches.unwrap_or_default();
    check_count("matches", &matches, 0..=1)?;
    let value = matches
        .into_iter()
        .next()
        .map(|name| name.value.into_string());
    Ok(match value {
        None => NameMatch::Any,
        Some(value) if value.is_empty() => NameMatch::Exactly(value),
        Some(value) => NameMatch::Containing(value),
    })
}

fn matches(field: &str, filters: Option<Vec<TagFilter>>) -> Result<Vec<TagMatch>, ApiError> {
    let filters = filters.unwrap_or_default();
    check_count(field, &filters, 0..=FILTER_MAX)?;
    filters
        .into_iter()
        .map(|filter| one(field, filter))
        .collect()
}

fn one(field: &str, filter: TagFilter) -> Result<TagMatch, ApiError> {
    check_count(&format!("{field}[].values"), &filter.values, 0..=FILTER_MAX)?;
    let mut wanted = TagMatch {
        key: filter.key.into_string(),
        ..TagMatch::default()
    };
    for value in filter.values {
        match value.as_str().strip_prefix('*') {
            // Every value contains nothing.
            Some("") => {
                return Ok(TagMatch {
                    key: wanted.key,
                    ..TagMatch::default()
                });
            }
            Some(part) => wanted.parts.push(part.to_owned()),
            None => wanted.exact.push(value.into_string()),
        }
    }
    Ok(wanted)
}

pub(crate) fn found_vault(view: VaultView) -> FoundVault {
    let sys_tags = vec![enterprise_sys_tag(&view.vault)];
    let vault = vault(view);
    FoundVault {
        resource_id: vault.id.clone(),
        resource_name: vault.name.clone(),
        tags: vault.tags.clone(),
        sys_tags,
        resource_detail: FoundVaultDetail { vault },
    }
}

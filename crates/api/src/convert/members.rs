use strongroom_service::rows::{self, MemberFilter, MemberSort, MemberSortKey, Page};
use strongroom_service::sharing::Answer;
use strongroom_wire::CbrTime;
use strongroom_wire::members::{ListMembersQuery, Member, UpdateMemberRequest};
use strongroom_wire::values::Label;

use super::{DEFAULT_LIMIT, page, sort_by};
use crate::ApiError;

pub(crate) fn member(row: rows::Member) -> Member {
    Member {
        id: row.id,
        backup_id: row.backup_id,
        dest_project_id: row.dest_project_id,
        status: row.status,
        vault_id: row.vault_id,
        image_id: None,
        created_at: CbrTime(row.created_at),
        updated_at: row.updated_at.map(CbrTime),
    }
}

pub(crate) fn answer(request: UpdateMemberRequest) -> Answer {
    Answer {
        status: request.status,
        vault_id: request.vault_id,
    }
}

pub(crate) fn member_filter(query: ListMembersQuery) -> MemberFilter {
    MemberFilter {
        dest_project_id: query.dest_project_id,
        status: query.status,
        vault_id: query.vault_id,
    }
}

pub(crate) fn member_page(query: &ListMembersQuery) -> Page {
    let marker = query.marker.as_ref();
    page(query.limit, query.offset, marker, DEFAULT_LIMIT)
}

pub(crate) fn member_sort(text: Option<&Label>) -> Result<Vec<MemberSort>, ApiError> {
    sort_by(text, |key, direction| {
        let key = match key {
            "created_at" => MemberSortKey::CreatedAt,
            "updated_at" => MemberSortKey::UpdatedAt,
            "status" => MemberSortKey::Status,
            "id" => MemberSortKey::Id,
            _ => return None,
        };
        Some(MemberSort { key, direction })
    })
}

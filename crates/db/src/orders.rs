//! Requests for a term reservation.

use strongroom_types::{OrderId, OrderStatus, ProjectId, Timestamp, UserId, VaultId};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultOrder {
    pub id: OrderId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    /// The id that the vault has or will have.
    pub vault_id: VaultId,
    /// The vault to create, as the service's JSON.
    pub request: String,
    pub status: OrderStatus,
    pub created_at: Timestamp,
    pub decided_at: Option<Timestamp>,
}

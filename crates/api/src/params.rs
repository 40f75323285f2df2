//! Which object a path is about. The project of a path comes from [`crate::auth::Tenant`].

use serde::Deserialize;
use strongroom_types::{
    AgentId, AttachmentId, BackupId, CheckpointId, OperationLogId, OrderId, OrganizationPolicyId,
    PolicyId, ProjectId, ProofId, ResourceId, ServerId, UserId, VaultId, VolumeId,
};
use strongroom_wire::values::ShortText;
use utoipa::{IntoParams, ToSchema};

macro_rules! object_path {
    ($name:ident { $($field:ident: $type:ty),+ }) => {
        #[derive(Debug, Clone, Deserialize, IntoParams)]
        #[into_params(parameter_in = Path)]
        pub(crate) struct $name { $(pub(crate) $field: $type),+ }
    };
}

object_path!(VaultPath { vault_id: VaultId });
object_path!(InstancePath {
    instance_id: ResourceId
});
object_path!(VaultTagPath {
    vault_id: VaultId,
    key: String
});
object_path!(CheckpointPath {
    checkpoint_id: CheckpointId
});
object_path!(BackupPath {
    backup_id: BackupId
});
object_path!(ProofPath {
    backup_id: BackupId,
    proof_id: ProofId
});
object_path!(MemberPath {
    backup_id: BackupId,
    member_id: ProjectId
});
object_path!(OrganizationPolicyPath {
    organization_policy_id: OrganizationPolicyId
});
object_path!(PolicyPath {
    policy_id: PolicyId
});
object_path!(OperationLogPath {
    operation_log_id: OperationLogId
});
object_path!(ProtectablesPath {
    protectable_type: ProtectableType
});
object_path!(ProtectablePath {
    protectable_type: ProtectableType,
    instance_id: ResourceId
});
object_path!(VolumePath {
    volume_id: VolumeId
});
object_path!(ServerPath {
    server_id: ServerId
});
object_path!(AttachmentPath {
    attachment_id: AttachmentId
});
object_path!(DiskPath {
    backup_id: BackupId,
    resource_id: ResourceId
});
object_path!(OrderPath { order_id: OrderId });
object_path!(AgentIdPath { agent_id: AgentId });
object_path!(FeaturePath {
    feature_key: String
});
object_path!(DomainNamePath {
    domain_name: String
});
object_path!(SourceProjectPath {
    source_project_id: ProjectId
});
object_path!(UserPath { user_id: UserId });
object_path!(AccessKeyPath { access_key: String });

/// The kinds of resources that this service knows to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProtectableType {
    Server,
    Disk,
}

/// Which enterprise project a search is about; all when absent.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EnterpriseQuery {
    pub(crate) enterprise_project_id: Option<ShortText>,
}

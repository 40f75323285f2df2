//! What can be done, and by whom: the one table of permissions.

use strongroom_types::Role;

/// Which roles may do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It changes nothing: every role.
    Read,
    /// It changes the project's vaults and backups: every role but the reader.
    Protect,
    /// It changes what runs by itself: operators and administrators.
    Schedule,
    /// It concerns the installation rather than one tenant: administrators.
    Administer,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $need:ident;)+) => {
        /// One thing that a caller may ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant),+ }

        impl Action {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The permission's public name, `cbr:vaults:create`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            const fn need(self) -> Need {
                match self { $(Self::$variant => Need::$need),+ }
            }
        }
    };
}

actions! {
    VaultsCreate = "cbr:vaults:create", Protect;
    VaultsGet = "cbr:vaults:get", Read;
    VaultsList = "cbr:vaults:list", Read;
    VaultsUpdate = "cbr:vaults:update", Protect;
    VaultsDelete = "cbr:vaults:delete", Protect;
    /// Totals over all vaults.
    VaultsSummary = "cbr:vaults:showSummary", Read;
    VaultsBatchUpdate = "cbr:vaults:batchUpdate", Protect;
    /// Add one tag.
    VaultsSetTags = "cbr:vaults:setTags", Protect;
    /// Add or delete several tags.
    VaultsBulkTags = "cbr:vaults:bulkCreateOrDeleteTags", Protect;
    VaultsDeleteTags = "cbr:vaults:deleteTags", Protect;
    VaultsGetTags = "cbr:vaults:getTags", Read;
    VaultsListProjectTags = "cbr:vaults:listProjectTags", Read;
    /// Find vaults by tags.
    VaultsListResourceInstances = "cbr:vaults:listResourceInstances", Read;
    /// Suspend and resume automatic backups of a resource.
    VaultsSetResources = "cbr:vaults:setResources", Protect;
    VaultsMigrateResources = "cbr:vaults:migrateResources", Protect;
    /// Move the ends of backups that expire.
    VaultsUpdateExpiration = "cbr:vaults:updateBackupExpirationTime", Protect;
    /// Order another charging mode for vaults.
    VaultsChangeChargeMode = "cbr:vaults:changeChargeMode", Protect;
    /// Order another size of a pre-paid vault, and ask whether an order is carried out.
    VaultsChangeOrder = "cbr:vaults:changeOrder", Protect;
    StorageUsage = "cbr:backups:listStorageUsage", Read;
    VaultsAddResources = "cbr:vaults:addResources", Protect;
    VaultsRemoveResources = "cbr:vaults:removeResources", Protect;
    VaultsAssociatePolicy = "cbr:vaults:associatePolicy", Protect;
    VaultsDissociatePolicy = "cbr:vaults:dissociatePolicy", Protect;
    /// Create a checkpoint.
    VaultsBackup = "cbr:vaults:backup", Protect;
    VaultsShowCheckpoint = "cbr:vaults:showCheckpoint", Read;
    /// Compare a hybrid vault with its storage.
    VaultsSync = "cbr:vaults:sync", Protect;
    /// Copy what a vault holds to another region.
    VaultsReplicate = "cbr:vaults:replicate", Protect;
    VaultsListExternal = "cbr:vaults:listExternalVaults", Read;
    BackupsReplicate = "cbr:backups:replicate", Protect;
    BackupsQueryReplicationCapability = "cbr:backups:queryReplicationCapability", Read;
    BackupsSync = "cbr:backups:sync", Protect;
    BackupsList = "cbr:backups:list", Read;
    BackupsGet = "cbr:backups:get", Read;
    BackupsUpdate = "cbr:backups:update", Protect;
    BackupsDelete = "cbr:backups:delete", Protect;
    BackupsRestore = "cbr:backups:restore", Protect;
    /// What the machine of a backup was made of.
    BackupsGetMachine = "strongroom:backups:getMachine", Read;
    BackupsGetMetadata = "cbr:backups:getMetadata", Read;
    /// Reaches into guests, so that readers may not.
    BackupsCheckAgent = "cbr:backups:checkAgent", Protect;
    /// Share a backup.
    MembersCreate = "cbr:member:create", Protect;
    MembersList = "cbr:member:list", Read;
    MembersGet = "cbr:member:get", Read;
    /// Accept or reject a shared backup.
    MembersUpdate = "cbr:member:update", Protect;
    MembersDelete = "cbr:member:delete", Protect;
    PoliciesCreate = "cbr:policies:create", Schedule;
    PoliciesList = "cbr:policies:list", Read;
    PoliciesGet = "cbr:policies:get", Read;
    PoliciesUpdate = "cbr:policies:update", Schedule;
    PoliciesDelete = "cbr:policies:delete", Schedule;
    TasksList = "cbr:tasks:list", Read;
    TasksGet = "cbr:tasks:get", Read;
    VaultsListProtectables = "cbr:vaults:listProtectables", Read;
    VaultsGetProtectables = "cbr:vaults:getProtectables", Read;
    AgentsRegister = "cbr:agents:register", Protect;
    AgentsList = "cbr:agents:list", Read;
    AgentsGet = "cbr:agents:get", Read;
    AgentsUpdate = "cbr:agents:update", Protect;
    AgentsDelete = "cbr:agents:delete", Protect;
    AgentsAddPath = "cbr:agents:addPath", Protect;
    AgentsRemovePath = "cbr:agents:removePath", Protect;
    FeaturesList = "cbr:features:list", Read;
    FeaturesGet = "cbr:features:get", Read;
    MigratesCreate = "cbr:migrates:create", Protect;
    MigratesGet = "cbr:migrates:get", Read;
    OrganizationPoliciesCreate = "cbr:organizationPolicies:create", Administer;
    OrganizationPoliciesList = "cbr:organizationPolicies:list", Administer;
    OrganizationPoliciesGet = "cbr:organizationPolicies:get", Administer;
    OrganizationPoliciesUpdate = "cbr:organizationPolicies:update", Administer;
    OrganizationPoliciesDelete = "cbr:organizationPolicies:delete", Administer;
    /// Run a machine from a backup.
    ProofsCreate = "strongroom:proofs:create", Protect;
    ProofsList = "strongroom:proofs:list", Read;
    /// Also what the machine said and its screen.
    ProofsGet = "strongroom:proofs:get", Read;
    /// Serve a backup as disks that machines run from.
    AttachmentsCreate = "strongroom:attachments:create", Protect;
    AttachmentsList = "strongroom:attachments:list", Read;
    AttachmentsDelete = "strongroom:attachments:delete", Protect;
    /// Copy the content of disks out.
    BackupsExport = "strongroom:backups:export", Protect;
    InventoryList = "strongroom:inventory:list", Administer;
    InventoryAdd = "strongroom:inventory:add", Administer;
    InventoryRemove = "strongroom:inventory:remove", Administer;
    OrdersList = "strongroom:orders:list", Administer;
    /// Approve or reject.
    OrdersDecide = "strongroom:orders:decide", Administer;
    AuditList = "strongroom:audit:list", Administer;
    IdentityList = "strongroom:identity:list", Administer;
    IdentityChange = "strongroom:identity:change", Administer;
}

impl Action {
    /// Whether a role suffices, in a project where the caller holds it.
    pub const fn permits(self, role: Role) -> bool {
        match (self.need(), role) {
            (_, Role::Admin)
            | (Need::Read | Need::Protect, Role::Operator | Role::BackupUser)
            | (Need::Schedule, Role::Operator)
            | (Need::Read, Role::Reader) => true,
            (Need::Protect, Role::Reader)
            | (Need::Schedule, Role::BackupUser | Role::Reader)
            | (Need::Administer, Role::Operator | Role::BackupUser | Role::Reader) => false,
        }
    }
}

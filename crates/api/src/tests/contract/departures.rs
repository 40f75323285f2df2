//! The one list of places where we do not follow the published description, each with its reason. One that no
//! request and no answer needs is an error of the list.

/// A place where we follow clients, recorded answers or our own means instead.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Departure {
    pub(super) from: Way,
    /// Operations, or `*` for all of them that have the place.
    pub(super) operations: &'static [&'static str],
    /// Fields of a request (`vault.description`, `?limit`), or of an answer by definition (`Vault.description`). With a
    /// star, all whose names begin so.
    pub(super) places: &'static [&'static str],
    /// The rules of the description that do not hold there.
    pub(super) rules: &'static [&'static str],
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// We take what the description forbids.
    Takes,
    /// We refuse as not valid what the description allows.
    Refuses,
    /// We answer what the description forbids.
    Answers,
}

impl Departure {
    /// The place of the list that a place of an operation falls under, when the departure is about that rule.
    pub(super) fn covering(
        &self,
        from: Way,
        operation: &str,
        place: &str,
        rule: &str,
    ) -> Option<&'static str> {
        let names =
            |list: &[&str], word: &str| list.iter().any(|name| *name == "*" || *name == word);
        if self.from != from || !names(self.operations, operation) || !names(self.rules, rule) {
            return None;
        }
        let mut places = self.places.iter();
        let falls_under = |name: &&&'static str| match name.strip_suffix('*') {
            Some(above) => place.starts_with(above),
            None => **name == place,
        };
        places.find(falls_under).copied()
    }
}

pub(super) const DEPARTURES: &[Departure] = &[
    Departure {
        from: Way::Answers,
        operations: &["*"],
        places: &[
            "BackupExtendInfo.bootable",
            "BackupExtendInfo.os_images_data",
            "BackupExtendInfo.snapshot_id",
            "BackupExtendInfo.supported_restore_mode",
            "BackupResp.expired_at",
            "BackupResp.parent_id",
            "BackupResp.protected_at",
            "BackupResp.scheduled_operation_id",
            "Billing.frozen_scene",
            "Billing.order_id",
            "Billing.product_id",
            "Billing.storage_unit",
            "Member.image_id",
            "Member.updated_at",
            "Member.vault_id",
            "OperationLog.checkpoint_id",
            "OperationLog.ended_at",
            "OperationLog.policy_id",
            "Policy.associated_vaults",
            "PolicyAssociateVault.destination_vault_id",
            "ProtectableAgentStatus.code",
            "Resource",
            "Vault",
            "Vault.description",
        ],
        rules: &["type", "enum"],
        reason: "null where there is nothing to say, as recorded; every known client reads it.",
    },
    Departure {
        from: Way::Answers,
        operations: &["*"],
        places: &[
            "BackupResp.created_at",
            "BackupResp.updated_at",
            "BackupResp.protected_at",
        ],
        rules: &["format"],
        reason: "naive UTC with six digits, as recorded: clients parse with that pattern, and a zone breaks them.",
    },
    Departure {
        from: Way::Answers,
        operations: &["*"],
        places: &[
            "Vault.availability_zone",
            "VaultCreateResource.availability_zone",
        ],
        rules: &["minLength"],
        reason: "empty unless a zone was asked for, as recorded.",
    },
    Departure {
        from: Way::Answers,
        operations: &["ListOpLogs", "ShowOpLog"],
        places: &["OpExtendInfoBckup.incremental"],
        rules: &["enum"],
        reason: "the published words have quotation marks inside the text; recorded ones are `true` and `false`.",
    },
    Departure {
        from: Way::Answers,
        operations: &["ListProtectable", "ShowProtectable"],
        places: &["ProtectablesResp.status"],
        rules: &["enum"],
        reason: "a server's or disk's own state, `ACTIVE` or `in-use`, as in the published examples and recorded answers.",
    },
    Departure {
        from: Way::Answers,
        operations: &["ListProtectable"],
        places: &["VaultGet"],
        rules: &["required"],
        reason: "a vault shows no `updated_at`, here as everywhere else and in recorded answers.",
    },
    Departure {
        from: Way::Answers,
        operations: &["RestoreBackup"],
        places: &["the body"],
        rules: &["empty"],
        reason: "published without a body; Terraform waits for the `job_id` in it and fails without.",
    },
    Departure {
        from: Way::Takes,
        operations: &["CreateVault"],
        places: &["vault.resources", "vault.description"],
        rules: &["maxItems", "maxLength"],
        reason: "256 resources, as a vault holds, and descriptions of 255, as answers and orders have them.",
    },
    Departure {
        from: Way::Takes,
        operations: &["CreateVault"],
        places: &["vault.billing.console_url"],
        rules: &["*"],
        reason: "of the cloud's shop: not read.",
    },
    Departure {
        from: Way::Takes,
        operations: &[
            "CreatePostPaidVault",
            "ChangeVaultChargeMode",
            "ChangeOrder",
            "UpdateOrder",
        ],
        places: &[
            "cloudServiceConsoleURL",
            "cloud_service_console_url",
            "console_url",
            "productInfo.productId",
            "productInfo.resourceSpecCode",
            "product_info.product_id",
            "promotion_info",
            "vault.billing.console_url",
            "vault.parameters*",
        ],
        rules: &["*"],
        reason: "of the cloud's shop: not read.",
    },
    Departure {
        from: Way::Takes,
        operations: &["CreatePostPaidVault", "ChangeVaultChargeMode"],
        places: &[
            "vault.billing.charging_mode",
            "is_auto_renew",
            "is_auto_pay",
        ],
        rules: &["required"],
        reason: "the path says that it is pre-paid, nothing renews itself, and an order that says nothing waits.",
    },
    Departure {
        from: Way::Takes,
        operations: &["CreatePostPaidVault"],
        places: &["vault.tags"],
        rules: &["minItems"],
        reason: "an empty list is no tags, as at the other create.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["CreatePostPaidVault"],
        places: &["vault.auto_expand", "vault.billing.is_multi_az"],
        rules: &["*"],
        reason: "published for pay-per-use vaults only, and a promise of a second place.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["ChangeVaultChargeMode"],
        places: &["charging_mode", "period_type"],
        rules: &["*"],
        reason: "the rule of the form allows any word, the text `pre_paid`, `month` and `year`.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["ChangeOrder", "UpdateOrder"],
        places: &[
            "product_info.resource_spec_code",
            "productInfo.resourceSize",
        ],
        rules: &["*"],
        reason: "the vault's own specification, and the size that was ordered: an order changes no other thing.",
    },
    Departure {
        from: Way::Takes,
        operations: &[
            "CreateVault",
            "UpdateVault",
            "CreateCheckpoint",
            "ListVault",
            "CreatePolicy",
            "UpdatePolicy",
            "CopyBackup",
        ],
        places: &[
            "vault.name",
            "replicate.name",
            "checkpoint.parameters.name",
            "?name",
            "policy.name",
        ],
        rules: &["pattern"],
        reason: "a name may have dots, as the order of a vault allows.",
    },
    Departure {
        from: Way::Answers,
        operations: &[
            "CreateVault",
            "UpdateVault",
            "ListVault",
            "ShowVault",
            "ListProtectable",
        ],
        places: &["Vault.name", "VaultCreateResource.name"],
        rules: &["pattern"],
        reason: "such a name is answered as it was given.",
    },
    Departure {
        from: Way::Takes,
        operations: &["ListOpLogs"],
        places: &["?destination_region"],
        rules: &["pattern", "maxLength"],
        reason: "a filter by any text finds what has that text.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["ListProtectable", "ShowProtectable"],
        places: &["{protectable_type}"],
        rules: &["*"],
        reason: "`turbo`, `workspace` and `workspace_v2` are services that are not here.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["CreateVault"],
        places: &["vault.billing.is_multi_az"],
        rules: &["*"],
        reason: "true would promise a second place, which an installation does not have.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["CreateVault"],
        places: &["vault.demand_billing"],
        rules: &["*"],
        reason: "published for pre-paid vaults only; there is no code of its own for it.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["UpdateVault"],
        places: &["vault.billing.consistent_level"],
        rules: &["*"],
        reason: "it changes from crash to application consistent only; there is no code of its own for it.",
    },
    Departure {
        from: Way::Takes,
        operations: CHANGES_OF_POLICIES,
        places: &[YEARLY_TYPE, ORGANIZATIONS_YEARLY_TYPE],
        rules: &["enum"],
        reason: "`WEEKLY` or `MONTHLY`: the published word `WEEKLY,MONTHLY` is a misprint of the two.",
    },
    Departure {
        from: Way::Refuses,
        operations: CHANGES_OF_POLICIES,
        places: &[YEARLY_TYPE, ORGANIZATIONS_YEARLY_TYPE],
        rules: &["*"],
        reason: "the misprinted word.",
    },
    Departure {
        from: Way::Answers,
        operations: POLICIES,
        places: &["PolicyYearlyRetentionRules.retention_type"],
        rules: &["enum"],
        reason: "one of the two words, as it was given.",
    },
    Departure {
        from: Way::Takes,
        operations: CHANGES_OF_POLICIES,
        places: &[
            "policy.operation_definition.max_backups",
            "policy.policy_operation_definition.max_backups",
            "policy.operation_definition.retention_duration_days",
            "policy.policy_operation_definition.retention_duration_days",
        ],
        rules: &["minimum"],
        reason: "0 and -1 are no rule, as the text beside the description says and clients send.",
    },
    Departure {
        from: Way::Answers,
        operations: POLICIES,
        places: &[
            "PolicyoODCreate.max_backups",
            "PolicyoODCreate.retention_duration_days",
        ],
        rules: &["minimum"],
        reason: "such a number is answered as it was given, or Terraform finds a difference.",
    },
    Departure {
        from: Way::Refuses,
        operations: CHANGES_OF_POLICIES,
        places: &[
            "policy.operation_definition.destination_region",
            "policy.policy_operation_definition.destination_region",
            "policy.operation_definition.retention_duration_days",
            "policy.policy_operation_definition.retention_duration_days",
            "policy.operation_type",
        ],
        rules: &["*"],
        reason: "a backup policy has no destination and a replication policy needs one; days and numbers exclude each other.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["AssociateVaultPolicy"],
        places: &["add_policy_ids[]"],
        rules: &["*"],
        reason: "published as texts of 1 to 10 characters, which no id is: it means 1 to 10 ids.",
    },
    Departure {
        from: Way::Answers,
        operations: &["ListFeatures", "ShowFeature"],
        places: &[""],
        rules: &["type"],
        reason: "a feature is `true`, a text or a list, as in the published examples; the form wants an object.",
    },
    Departure {
        from: Way::Takes,
        operations: &["ListFeatures", "ShowFeature"],
        places: &["?limit", "?offset"],
        rules: &["*"],
        reason: "one feature has no pages, and offsets end nowhere.",
    },
    Departure {
        from: Way::Takes,
        operations: &["MigrateDomain", "ShowMigrateStatus"],
        places: &["all_regions", "reservation", "?all_regions"],
        rules: &["required", "type"],
        reason: "there is nothing to migrate, and one region: not read, or absent as its default.",
    },
    Departure {
        from: Way::Takes,
        operations: &["RegisterAgent"],
        places: &["agent.agent_version"],
        rules: &["pattern"],
        reason: "an agent says what version it is; nothing depends on it.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["ListAgent"],
        places: &["?limit"],
        rules: &["*"],
        reason: "published as a text of 1 to 1000 characters: it means a number from 1 to 1000.",
    },
    Departure {
        from: Way::Answers,
        operations: &["RegisterAgent", "ListAgent", "ShowAgent", "UpdateAgent"],
        places: &[
            "Agent.created_at",
            "Agent.last_active_time",
            "Agent.updated_at",
        ],
        rules: &["format"],
        reason: "naive UTC with six digits, as all times.",
    },
    Departure {
        from: Way::Takes,
        operations: &["ImportCheckpoint", "ImportBackup"],
        places: &[
            "sync.auto_trigger",
            "sync[].created_at",
            "sync[].resource_type",
        ],
        rules: &["required"],
        reason: "what lies there says itself how, when and of what it was made.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["ImportBackup"],
        places: &["sync[].backup_name"],
        rules: &["*"],
        reason: "the pattern lacks its end, so that it allows everything; names are as everywhere.",
    },
    Departure {
        from: Way::Refuses,
        operations: CHANGES_OF_POLICIES,
        places: &[
            "policy.operation_definition.advanced_retention_rules.*",
            "policy.policy_operation_definition.advanced_retention_rules.*",
        ],
        rules: &["*"],
        reason: "a rule without a day or a month would look like one and keep nothing.",
    },
    Departure {
        from: Way::Refuses,
        operations: &["CreateOrganizationPolicy", "UpdateOrganizationPolicy"],
        places: &["policy.effective_scope"],
        rules: &["*"],
        reason: "`all`, or ids of projects separated by commas; what the field may hold is not published.",
    },
];

const YEARLY_TYPE: &str =
    "policy.operation_definition.advanced_retention_rules.yearly_retention_rules.retention_type";
const ORGANIZATIONS_YEARLY_TYPE: &str = "policy.policy_operation_definition.advanced_retention_rules.yearly_retention_rules.retention_type";

const CHANGES_OF_POLICIES: &[&str] = &[
    "CreatePolicy",
    "UpdatePolicy",
    "CreateOrganizationPolicy",
    "UpdateOrganizationPolicy",
];

const POLICIES: &[&str] = &[
    "CreatePolicy",
    "UpdatePolicy",
    "ListPolicies",
    "ShowPolicy",
    "CreateOrganizationPolicy",
    "UpdateOrganizationPolicy",
    "ListOrganizationPolicies",
    "ShowOrganizationPolicy",
];

-- What a policy chooses beyond its definition, which is CBR's: PolicyOptions in JSON.
ALTER TABLE policy ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
-- When the backup was made that a policy last had proven of the resource. It outlives that backup and its proof.
ALTER TABLE vault_resource ADD COLUMN last_proven_backup_at INTEGER;

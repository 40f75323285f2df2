-- A copy that a policy sends keeps the policy, which may be gone by now, and the retention rules of that moment, as JSON.
ALTER TABLE replication ADD COLUMN policy_id TEXT;
ALTER TABLE replication ADD COLUMN retention TEXT;

-- Copies from other regions that go by the rules of a policy there.
CREATE INDEX backup_of_far_policy ON backup (vault_id, policy_id, resource_id)
    WHERE image_type = 'replication' AND policy_id IS NOT NULL AND parent_id IS NULL;

-- Whether a transfer is compared with a point, and whether a backup of another region is here already.
CREATE INDEX replica_disk_by_reference ON replica_disk (reference);
CREATE INDEX replica_by_source ON replica (source_backup_id);

-- In the order in which retention reads them, so that it does not go through the list of the whole vault instead.
DROP INDEX backup_by_policy;
CREATE INDEX backup_by_policy ON backup (policy_id, vault_id, resource_id, created_at, id)
    WHERE policy_id IS NOT NULL AND parent_id IS NULL;

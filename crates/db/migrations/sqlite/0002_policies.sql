-- definition is operation_definition as the client sent it, for the echo; rules is what it means. Both are JSON.
-- schedule_since is when the schedule last changed or began to apply: nothing that was due before then runs.
-- version is raised to take the row's lock; see Tx::lock_policy.
CREATE TABLE policy (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    operation_type TEXT NOT NULL,
    policy_type TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    definition TEXT NOT NULL,
    rules TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    schedule TEXT NOT NULL,
    start_window_minutes INTEGER,
    schedule_since INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX policy_by_project ON policy (project_id, created_at);

-- last_due_at is the start that was last taken up, so that each start runs once, whoever looks.
CREATE TABLE vault_policy (
    vault_id TEXT NOT NULL REFERENCES vault (id),
    policy_id TEXT NOT NULL REFERENCES policy (id),
    destination_vault_id TEXT,
    associated_at INTEGER NOT NULL,
    last_due_at INTEGER,
    PRIMARY KEY (vault_id, policy_id)
) STRICT;
CREATE INDEX vault_policy_by_policy ON vault_policy (policy_id);

-- The policy of an automatic backup, which may be gone by now, and the retention rules that it was made under, as JSON.
ALTER TABLE backup ADD COLUMN policy_id TEXT;
ALTER TABLE backup ADD COLUMN retention TEXT;
CREATE INDEX backup_by_policy ON backup (policy_id, vault_id, resource_id)
    WHERE policy_id IS NOT NULL AND parent_id IS NULL;

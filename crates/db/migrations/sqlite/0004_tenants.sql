-- A backup that is offered to another project. vault_id is the receiver's vault once it has accepted, and
-- accounted_bytes what the backup takes of that vault; 0 until it is measured.
CREATE TABLE backup_member (
    id TEXT PRIMARY KEY NOT NULL,
    backup_id TEXT NOT NULL REFERENCES backup (id),
    dest_project_id TEXT NOT NULL REFERENCES project (id),
    status TEXT NOT NULL,
    vault_id TEXT REFERENCES vault (id),
    accounted_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER,
    UNIQUE (backup_id, dest_project_id)
) STRICT;
CREATE INDEX backup_member_by_project ON backup_member (dest_project_id, created_at);
CREATE INDEX backup_member_by_vault ON backup_member (vault_id);

-- Set where another project's backup is restored: the member whose right it is.
ALTER TABLE restore ADD COLUMN member_id TEXT;

-- What was known about the machine when its backup began, as the service's JSON. Top-level backups only.
CREATE TABLE backup_metadata (
    backup_id TEXT PRIMARY KEY NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    snapshot TEXT NOT NULL
) STRICT;

-- Who changed what, or tried to. A change that committed has its row in the same transaction.
CREATE TABLE audit (
    id TEXT PRIMARY KEY NOT NULL,
    happened_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error_code TEXT NOT NULL,
    project_id TEXT,
    domain_id TEXT,
    user_id TEXT,
    user_name TEXT NOT NULL,
    access_key TEXT,
    resource_type TEXT NOT NULL,
    resource_id TEXT,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (happened_at);
CREATE INDEX audit_by_project ON audit (project_id, happened_at);

-- An agent on a machine outside the inventory, as it described itself; the id is the agent's own choice.
CREATE TABLE file_agent (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    agent_type TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    host_ip TEXT NOT NULL,
    host_name TEXT NOT NULL,
    host_nickname TEXT NOT NULL,
    host_os TEXT NOT NULL,
    uninstalling INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX file_agent_by_project ON file_agent (project_id, created_at);

-- A directory that an agent is to back up; exclude_paths is a list as JSON.
CREATE TABLE file_agent_path (
    id TEXT PRIMARY KEY NOT NULL,
    agent_id TEXT NOT NULL REFERENCES file_agent (id) ON DELETE CASCADE,
    dir_path TEXT NOT NULL,
    exclude_paths TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (agent_id, dir_path)
) STRICT;

-- A policy that an account pushes to its projects. The columns from policy_name to start_window_minutes are those of policy.
CREATE TABLE organization_policy (
    id TEXT PRIMARY KEY NOT NULL,
    domain_id TEXT NOT NULL REFERENCES domain (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    effective_scope TEXT NOT NULL,
    policy_name TEXT NOT NULL,
    operation_type TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    definition TEXT NOT NULL,
    rules TEXT NOT NULL,
    schedule TEXT NOT NULL,
    start_window_minutes INTEGER,
    deleting INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- How far a project is; policy_id is its own copy, which may be gone.
CREATE TABLE policy_deployment (
    organization_policy_id TEXT NOT NULL REFERENCES organization_policy (id),
    project_id TEXT NOT NULL REFERENCES project (id),
    policy_id TEXT,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (organization_policy_id, project_id)
) STRICT;

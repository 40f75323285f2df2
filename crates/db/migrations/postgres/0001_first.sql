-- Times are microseconds since 1970 (UTC); ids, words and JSON are TEXT; sizes are bytes unless the name says otherwise.

CREATE TABLE domain (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE project (
    id TEXT PRIMARY KEY NOT NULL,
    domain_id TEXT NOT NULL REFERENCES domain (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE account (
    id TEXT PRIMARY KEY NOT NULL,
    domain_id TEXT NOT NULL REFERENCES domain (id),
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (domain_id, name)
);

CREATE TABLE membership (
    user_id TEXT NOT NULL REFERENCES account (id),
    project_id TEXT NOT NULL REFERENCES project (id),
    role TEXT NOT NULL,
    PRIMARY KEY (user_id, project_id)
);

-- secret_sealed is encrypted with the installation's key; a temporary key has a token hash and an end.
CREATE TABLE access_key (
    access_key TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES account (id),
    secret_sealed BYTEA NOT NULL,
    security_token_hash BYTEA,
    project_id TEXT REFERENCES project (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- Only the hash of a token is kept: a stolen database opens no session.
CREATE TABLE token (
    token_hash BYTEA PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES account (id),
    project_id TEXT REFERENCES project (id),
    domain_id TEXT REFERENCES domain (id),
    methods TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX token_by_end ON token (expires_at);

-- version is raised to take the row's lock; see Tx::lock_volume.
CREATE TABLE volume (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    path TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX volume_by_project ON volume (project_id);

CREATE TABLE server (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    qmp_socket TEXT,
    guest_agent_socket TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX server_by_project ON server (project_id);

-- position 0 is the system disk.
CREATE TABLE server_volume (
    volume_id TEXT PRIMARY KEY NOT NULL REFERENCES volume (id),
    server_id TEXT NOT NULL REFERENCES server (id),
    position BIGINT NOT NULL,
    UNIQUE (server_id, position)
);

CREATE TABLE vault (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    object_type TEXT NOT NULL,
    protect_type TEXT NOT NULL,
    consistent_level TEXT NOT NULL,
    cloud_type TEXT NOT NULL,
    charging_mode TEXT NOT NULL,
    size_gb BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    status TEXT NOT NULL,
    auto_bind BOOLEAN NOT NULL,
    auto_expand BOOLEAN NOT NULL,
    bind_rules TEXT,
    smn_notify BOOLEAN NOT NULL,
    threshold BIGINT NOT NULL,
    locked BOOLEAN NOT NULL,
    is_multi_az BOOLEAN NOT NULL,
    demand_billing BOOLEAN NOT NULL,
    backup_name_prefix TEXT,
    enterprise_project_id TEXT NOT NULL,
    availability_zone TEXT NOT NULL,
    sys_lock_source_service TEXT NOT NULL,
    order_id TEXT,
    term_ends_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX vault_by_project ON vault (project_id, created_at);

CREATE TABLE vault_tag (
    vault_id TEXT NOT NULL REFERENCES vault (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (vault_id, key)
);

-- One row per protected resource: the primary key is what keeps a resource out of two vaults.
CREATE TABLE vault_resource (
    resource_id TEXT PRIMARY KEY NOT NULL,
    vault_id TEXT NOT NULL REFERENCES vault (id),
    resource_type TEXT NOT NULL,
    name TEXT NOT NULL,
    size_gb BIGINT NOT NULL,
    protect_status TEXT NOT NULL,
    auto_protect BOOLEAN NOT NULL,
    exclude_volumes TEXT,
    include_volumes TEXT,
    backup_bytes BIGINT NOT NULL,
    backup_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX vault_resource_by_vault ON vault_resource (vault_id, created_at);

-- A request for a term reservation; request is the vault to create, as JSON.
CREATE TABLE vault_order (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    user_id TEXT NOT NULL,
    vault_id TEXT NOT NULL,
    request TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_at BIGINT
);
CREATE INDEX vault_order_by_project ON vault_order (project_id, created_at);

CREATE TABLE checkpoint (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    vault_id TEXT NOT NULL REFERENCES vault (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    retention_days BIGINT NOT NULL,
    skipped_resources TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX checkpoint_by_vault ON checkpoint (vault_id);

-- A server's backup has one child per disk; point_id is set on the rows that hold data (disks).
CREATE TABLE backup (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    vault_id TEXT NOT NULL REFERENCES vault (id),
    checkpoint_id TEXT NOT NULL REFERENCES checkpoint (id),
    parent_id TEXT REFERENCES backup (id),
    resource_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    resource_size_gb BIGINT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    image_type TEXT NOT NULL,
    incremental BOOLEAN NOT NULL,
    auto_trigger BOOLEAN NOT NULL,
    system_disk BOOLEAN NOT NULL,
    progress BIGINT NOT NULL,
    point_id TEXT,
    size_bytes BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    trouble TEXT,
    trouble_message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    protected_at BIGINT,
    expired_at BIGINT
);
CREATE INDEX backup_by_project ON backup (project_id, created_at);
CREATE INDEX backup_by_vault ON backup (vault_id);
CREATE INDEX backup_by_checkpoint ON backup (checkpoint_id);
CREATE INDEX backup_by_parent ON backup (parent_id);
CREATE INDEX backup_by_resource ON backup (resource_id);
CREATE INDEX backup_by_end ON backup (expired_at) WHERE expired_at IS NOT NULL;
-- A resource is backed up by one job at a time, whoever asks.
CREATE UNIQUE INDEX backup_one_active ON backup (resource_id)
    WHERE parent_id IS NULL AND status IN ('waiting_protect', 'protecting');

-- extra holds the parts of extra_info that depend on the type, as JSON.
CREATE TABLE operation_log (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    operation_type TEXT NOT NULL,
    status TEXT NOT NULL,
    progress BIGINT NOT NULL,
    vault_id TEXT,
    vault_name TEXT,
    checkpoint_id TEXT,
    policy_id TEXT,
    provider_id TEXT,
    resource_id TEXT,
    resource_type TEXT,
    resource_name TEXT,
    extra TEXT NOT NULL,
    trouble TEXT,
    error_message TEXT NOT NULL,
    request_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX operation_log_by_project ON operation_log (project_id, created_at);

-- One row per restore that has not ended; mappings is [{"backup_id": …, "volume_id": …}]; resource_id is what a
-- vault would protect of the target.
CREATE TABLE restore (
    operation_log_id TEXT PRIMARY KEY NOT NULL REFERENCES operation_log (id),
    backup_id TEXT NOT NULL REFERENCES backup (id),
    resource_id TEXT NOT NULL,
    mappings TEXT NOT NULL,
    power_on BOOLEAN NOT NULL
);

-- The primary key keeps two restores off one volume.
CREATE TABLE restore_target (
    volume_id TEXT PRIMARY KEY NOT NULL REFERENCES volume (id),
    operation_log_id TEXT NOT NULL REFERENCES restore (operation_log_id)
);

-- subject_id is the backup, vault or operation log that the kind names; (lease_owner, attempt) fences.
CREATE TABLE job (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    operation_log_id TEXT,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    attempts_max BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    last_error TEXT,
    request_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX job_due ON job (run_at) WHERE state IN ('waiting', 'running');
CREATE UNIQUE INDEX job_one_per_subject ON job (kind, subject_id) WHERE state IN ('waiting', 'running');

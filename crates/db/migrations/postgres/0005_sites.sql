-- What connects this installation with others: storage that they write, and copies that go to them or come from them.

-- A hybrid vault and the storage unit of the configuration that it shows; a unit is in one vault.
CREATE TABLE storage_unit (
    vault_id TEXT PRIMARY KEY NOT NULL REFERENCES vault (id),
    name TEXT NOT NULL UNIQUE
);

-- A copy of a backup to another region, here where it comes from. The destination's ids are known once it has answered.
CREATE TABLE replication (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    vault_id TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    backup_id TEXT NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    destination_region TEXT NOT NULL,
    destination_project_id TEXT NOT NULL,
    destination_vault_id TEXT NOT NULL,
    destination_checkpoint_id TEXT,
    destination_backup_id TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    auto_trigger BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    progress BIGINT NOT NULL,
    trouble TEXT,
    trouble_message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX replication_by_backup ON replication (backup_id);
CREATE INDEX replication_by_vault ON replication (vault_id);
-- A backup is in a region once.
CREATE UNIQUE INDEX replication_one_per_region ON replication (backup_id, destination_region)
    WHERE status IN ('waiting_replicate', 'replicating', 'success');

-- A backup that came or comes from another region, here where it goes to. block_key keys the ids of blocks during the transfer.
CREATE TABLE replica (
    backup_id TEXT PRIMARY KEY NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    source_region TEXT NOT NULL,
    source_project_id TEXT NOT NULL,
    source_checkpoint_id TEXT NOT NULL,
    source_backup_id TEXT NOT NULL,
    replication_id TEXT NOT NULL,
    operation_log_id TEXT NOT NULL,
    block_key TEXT NOT NULL,
    UNIQUE (source_region, replication_id)
);

-- A disk of a replica; reference is the point of the disk that it is compared with, digest is over what it must hold, and known
-- once all of it was sent.
CREATE TABLE replica_disk (
    backup_id TEXT PRIMARY KEY NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    replica_id TEXT NOT NULL REFERENCES replica (backup_id) ON DELETE CASCADE,
    source_backup_id TEXT NOT NULL,
    reference TEXT,
    digest TEXT
);

-- Copies of a server's backups may arrive side by side; it is backed up by one job at a time all the same.
DROP INDEX backup_one_active;
CREATE UNIQUE INDEX backup_one_active ON backup (resource_id)
    WHERE parent_id IS NULL AND image_type = 'backup' AND status IN ('waiting_protect', 'protecting');

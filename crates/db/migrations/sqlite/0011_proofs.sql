-- What machines that ran from backups have shown. console is the end of what the serial port said, screen a PNG,
-- file_systems a list in JSON.
CREATE TABLE proof (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    backup_id TEXT NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    verdict TEXT,
    reason TEXT NOT NULL,
    accelerator TEXT,
    file_systems TEXT NOT NULL,
    console TEXT NOT NULL,
    screen BLOB,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER
) STRICT;
CREATE INDEX proof_by_backup ON proof (backup_id, created_at);
CREATE INDEX proof_open ON proof (created_at) WHERE state IN ('waiting', 'running');
-- A backup is proven once at a time.
CREATE UNIQUE INDEX proof_one_open ON proof (backup_id) WHERE state IN ('waiting', 'running');

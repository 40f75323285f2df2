-- Backups that are served as disks which machines run from, until somebody detaches them. The folder has their sockets and what is written.
CREATE TABLE backup_attachment (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL REFERENCES project (id),
    backup_id TEXT NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    read_only INTEGER NOT NULL,
    folder TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX backup_attachment_by_backup ON backup_attachment (backup_id);
CREATE INDEX backup_attachment_by_project ON backup_attachment (project_id, created_at, id);

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

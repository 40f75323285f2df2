-- Lists that stay quick as tables grow: each begins with an index that has the rows in the list's order, so that a page
-- sorts nothing and a count touches no row.
DROP INDEX vault_by_project;
CREATE INDEX vault_listed ON vault (project_id, created_at DESC, id DESC);

-- The last column lets SQLite count from the index alone.
DROP INDEX backup_by_project;
CREATE INDEX backup_listed ON backup (project_id, created_at DESC, id DESC, parent_id) WHERE parent_id IS NULL;
CREATE INDEX backup_listed_of_vault ON backup (vault_id, created_at DESC, id DESC) WHERE parent_id IS NULL;
-- Half of all backups have no parent: an index that held them would look useful to a list and be of no use.
DROP INDEX backup_by_parent;
CREATE INDEX backup_by_parent ON backup (parent_id) WHERE parent_id IS NOT NULL;

DROP INDEX operation_log_by_project;
CREATE INDEX operation_log_listed ON operation_log (project_id, created_at DESC, id DESC);
CREATE INDEX operation_log_of_vault ON operation_log (vault_id, created_at DESC, id DESC);
CREATE INDEX operation_log_of_resource ON operation_log (resource_id, created_at DESC, id DESC);

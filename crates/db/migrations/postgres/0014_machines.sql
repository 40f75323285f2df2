-- What the machine of a server's backup was made of: MachineRecord in JSON.
CREATE TABLE backup_machine (
    backup_id TEXT PRIMARY KEY NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    record TEXT NOT NULL
);
-- Of a restore that makes its targets, and the definition of a machine behind them: where, in JSON.
ALTER TABLE restore ADD COLUMN new_server TEXT;

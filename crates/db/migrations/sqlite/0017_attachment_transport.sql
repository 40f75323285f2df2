-- How the disks of an attached backup are reached: unix or tls.
ALTER TABLE backup_attachment ADD COLUMN transport TEXT NOT NULL DEFAULT 'unix';

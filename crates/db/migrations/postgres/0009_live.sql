-- Whether the guest of a running server held its file systems still for the backup, as JSON. Absent where nobody asked it to.
ALTER TABLE backup ADD COLUMN quiesce TEXT;

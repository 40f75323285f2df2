-- A server that libvirt runs: where that libvirt is, and what it calls the domain. Both or neither.
ALTER TABLE server ADD COLUMN libvirt_uri TEXT;
ALTER TABLE server ADD COLUMN libvirt_domain TEXT;

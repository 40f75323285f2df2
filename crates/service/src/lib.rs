//! The rules: vaults, resources, checkpoints, backups, restores, identity and authorisation.

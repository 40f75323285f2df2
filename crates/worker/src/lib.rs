//! Claims jobs and runs their bodies: the only place where database, repository and disks meet.

//! Which process holds a session, so that another one on the same machine sees at once that it is dead.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process as nobody else on any machine is: pids come back, but not with the same start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    boot: String,
    pid_namespace: String,
    pid: u32,
    /// In clock ticks since the boot.
    started: u64,
}

impl Host {
    /// This process; nothing where `/proc` does not say.
    pub(super) fn current() -> Option<Self> {
        let pid = std::process::id();
        let (boot, pid_namespace) = here()?;
        let started = start_of(pid)?;
        Some(Self {
            boot,
            pid_namespace,
            pid,
            started,
        })
    }

    /// True only if the process can never come back.
    pub(super) fn is_dead(&self) -> bool {
        let same_machine =
            here().is_some_and(|(boot, space)| boot == self.boot && space == self.pid_namespace);
        same_machine && start_of(self.pid) != Some(self.started)
    }
}

/// The running kernel, and the numbering of processes that this one sees.
fn here() -> Option<(String, String)> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some((boot.trim().to_owned(), space.to_str()?.to_owned()))
}

/// When a process started; nothing for one that is gone, or waits to be forgotten by its parent.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, may contain anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_another_start_is_dead() {
        let host = Host::current().unwrap();
        assert!(!host.is_dead());
        let before = Host {
            started: host.started - 1,
            ..host.clone()
        };
        assert!(before.is_dead());
        let elsewhere = Host {
            boot: "another".to_owned(),
            ..before
        };
        assert!(!elsewhere.is_dead());
    }
}

//! Which process holds a session, so that another one on the same machine sees at once that it is dead.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
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
        let started = start_of(pid).ok()??;
        Some(Self {
            boot,
            pid_namespace,
            pid,
            started,
        })
    }

    /// True only if the process can never come back, as far as this one is shown.
    pub(super) fn is_dead(&self) -> bool {
        let same_machine =
            here().is_some_and(|(boot, space)| boot == self.boot && space == self.pid_namespace);
        same_machine
            && match start_of(self.pid) {
                Ok(started) => started.is_some_and(|started| started != self.started),
                // Some systems hide the processes of others there: the kernel is asked as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => is_unknown(self.pid),
                Err(_) => false,
            }
    }
}

/// The running kernel, and the numbering of processes that this one sees.
fn here() -> Option<(String, String)> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some((boot.trim().to_owned(), space.to_str()?.to_owned()))
}

/// When a process started; nothing where the system says it in another way.
fn start_of(pid: u32) -> io::Result<Option<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may contain anything.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let started = fields.and_then(|fields| fields.split(' ').nth(19));
    Ok(started.and_then(|started| started.parse().ok()))
}

fn is_unknown(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_is_dead() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        let host = Host {
            pid,
            started: start_of(pid).unwrap().unwrap(),
            ..Host::current().unwrap()
        };
        assert!(!host.is_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(host.is_dead());
    }

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

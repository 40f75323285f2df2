use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Longer than any test lets a command wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// Stands before a machine's monitor, and fails when it was told to.
#[derive(Debug)]
pub struct MonitorProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
}

/// What becomes of a client's command that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorFault {
    /// The connection ends before QEMU hears it.
    Cut,
    /// The connection ends after QEMU heard it, and before its answer.
    CutAfter,
    /// It is not heard, and everything waits until [`MonitorProxy::heal`], which cuts.
    Stall,
    /// The same, but then it is heard, and all goes on.
    Hold,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Plan {
    next: Option<(MonitorFault, Due)>,
    /// The command that failed.
    struck: Option<String>,
}

/// Which command fails.
#[derive(Debug)]
enum Due {
    After(usize),
    At(String),
}

impl MonitorProxy {
    /// Listens at `socket`, and passes on to the monitor at `to`, which may come and go.
    pub fn start(socket: &Path, to: &Path) -> Self {
        fs::remove_file(socket).ok();
        let listener = UnixListener::bind(socket).expect("a folder of our own");
        let shared = Arc::new(Shared::default());
        let (held, to) = (Arc::clone(&shared), to.to_owned());
        // Ends with the process: it holds nothing but a socket.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // QEMU, too, serves one after the other.
                if let Ok(monitor) = UnixStream::connect(&to) {
                    held.serve(&client, &monitor).ok();
                    monitor.shutdown(Shutdown::Both).ok();
                }
            }
        });
        Self {
            socket: socket.to_owned(),
            shared,
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// After so many more commands that change something one of them fails.
    pub fn fail_after(&self, commands: usize, fault: MonitorFault) {
        self.plan(fault, Due::After(commands));
    }

    /// The next command of this name fails.
    pub fn fail_at(&self, command: &str, fault: MonitorFault) {
        self.plan(fault, Due::At(command.to_owned()));
    }

    fn plan(&self, fault: MonitorFault, due: Due) {
        *self.shared.plan() = Plan {
            next: Some((fault, due)),
            struck: None,
        };
    }

    /// The command that failed, once it has.
    pub fn struck(&self) -> Option<String> {
        self.shared.plan().struck.clone()
    }

    /// Nothing fails any more. Returns the command that failed since the last call, if one did.
    pub fn heal(&self) -> Option<String> {
        let plan = std::mem::take(&mut *self.shared.plan());
        self.shared.changed.notify_all();
        plan.struck
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_healed(&self) {
        let plan = self.plan();
        let stalls = |plan: &mut Plan| plan.struck.is_some();
        drop(self.changed.wait_timeout_while(plan, PATIENCE, stalls));
    }

    /// Passes on lines of the client, and all that the monitor says, until either ends or a fault is due.
    fn serve(&self, client: &UnixStream, monitor: &UnixStream) -> std::io::Result<()> {
        let (mut answers, mut back) = (monitor.try_clone()?, client.try_clone()?);
        let answering = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = answers.read(&mut buffer) {
                if length == 0 || back.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            back.shutdown(Shutdown::Both).ok();
        });
        let (mut to, mut lines) = (monitor.try_clone()?, BufReader::new(client));
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            match self.fault_of(&line) {
                None => to.write_all(line.as_bytes())?,
                Some(MonitorFault::Cut) => break,
                Some(MonitorFault::CutAfter) => {
                    client.shutdown(Shutdown::Both)?;
                    to.write_all(line.as_bytes())?;
                    break;
                }
                Some(MonitorFault::Stall) => {
                    self.wait_until_healed();
                    break;
                }
                Some(MonitorFault::Hold) => {
                    self.wait_until_healed();
                    to.write_all(line.as_bytes())?;
                }
            }
            line.clear();
        }
        client.shutdown(Shutdown::Both).ok();
        monitor.shutdown(Shutdown::Write).ok();
        answering.join().ok();
        Ok(())
    }

    fn fault_of(&self, line: &str) -> Option<MonitorFault> {
        let message: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let command = message.and_then(|message| Some(message["execute"].as_str()?.to_owned()))?;
        let asks = ["query-", "qom-get", "x-debug-query-", "qmp_capabilities"];
        if asks.iter().any(|asks| command.starts_with(asks)) {
            return None;
        }
        let mut plan = self.plan();
        let (fault, due) = plan.next.as_mut()?;
        let is_due = match due {
            Due::After(0) => true,
            Due::After(left) => {
                *left -= 1;
                false
            }
            Due::At(name) => *name == command,
        };
        if !is_due {
            return None;
        }
        let fault = *fault;
        plan.next = None;
        plan.struck = Some(command);
        self.changed.notify_all();
        Some(fault)
    }
}

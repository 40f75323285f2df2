//! The machine of a server that is restored: stopped before its disks are opened, and started when they are as they were.

use std::collections::BTreeSet;
use std::time::Duration;

use strongroom_service::progress::RestoreWork;
use strongroom_service::rows::Server;
use strongroom_service::{App, MachineAddress, MachineError};
use strongroom_types::{Chain, Trouble};

use super::{Context, JobError};
use crate::machine_hook::{HookError, MachineHook};

/// After the hook has said that it is off, for the kernel to let its locks go.
const ATTEMPTS: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// Who stops and starts the server that is restored; nobody where a disk by itself is, or no hook is configured.
pub(super) fn of<'a>(
    context: &'a Context,
    work: &'a RestoreWork,
) -> Option<(&'a MachineHook, &'a Server)> {
    context.machine_hook.as_ref().zip(work.server.as_ref())
}

/// Has the machine stopped if it holds one of the targets.
pub(super) async fn stop(
    app: &App,
    (hook, server): (&MachineHook, &Server),
    work: &RestoreWork,
) -> Result<(), JobError> {
    if !holds(app, server, work).await {
        return Ok(());
    }
    hook.stop(server).await.map_err(failed)?;
    for _ in 0..ATTEMPTS {
        if !holds(app, server, work).await {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(failed(HookError::StillRunning))
}

/// Has the machine started. The disks are restored whether or not it comes up, so that this is for the log alone.
pub(super) async fn start((hook, server): (&MachineHook, &Server)) {
    if let Err(error) = hook.start(server).await {
        tracing::error!(server = %server.id, error = %Chain(&error), "a restored server was not started");
    }
}

/// As its monitor or libvirt says, if it can be asked, and the locks of the images.
async fn holds(app: &App, server: &Server, work: &RestoreWork) -> bool {
    let targets = work.disks.iter().map(|disk| disk.target.path.clone());
    let targets: BTreeSet<_> = targets.collect();
    if let Some(machine) = MachineAddress::of(server) {
        match app.machines.ask(&machine, &targets).await {
            Ok(facts) if !facts.places.is_empty() => return true,
            Ok(_) | Err(MachineError::Unreachable) => {}
            Err(MachineError::Silent | MachineError::Strange(_)) => return true,
        }
    }
    for target in &targets {
        if let Ok(facts) = app.disks.examine(target).await
            && facts.in_use
        {
            return true;
        }
    }
    false
}

fn failed(error: HookError) -> JobError {
    JobError::Failed {
        trouble: Trouble::ServerRunning,
        source: Box::new(error),
    }
}

//! One server, its machine behind a monitor that can fail, and a worker that is told when to work.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use strongroom_db::Db;
use strongroom_repo::{CollectOptions, Env};
use strongroom_service::checkpoints::{self, NewCheckpoint, Selection};
use strongroom_service::inventory::{self, NewServer};
use strongroom_service::policies::{self, OptionsChange};
use strongroom_service::rows::{Backup, DiskReading, OperationExtra, OperationLogFilter, Page};
use strongroom_service::vault_policies::{self, NewAssociation};
use strongroom_service::vaults::{self, NewVault, VaultCreation};
use strongroom_service::{Caller, Error};
use strongroom_testkit::{
    MockClock, MonitorFault, MonitorProxy, QemuMachine, SeededIds, TestDatabase, test_databases,
};
use strongroom_types::{
    BackupStatus, CheckpointId, ConsistentLevel, FailedFreeze, ObjectType, PolicyId, ProjectId,
    ResourceId, ResourceType, ServerId, SystemIds, VaultId, VolumeFormat,
};
use tokio_util::sync::CancellationToken;

use crate::places::open_sink;
use crate::tests::fixtures;
use crate::transfer::{self, Progress};
use crate::{LiveHost, LocalMachines, ProveOptions, Prover, Repositories, Worker};

pub(super) const MIB: usize = 1 << 20;
const DISKS: [&str; 2] = ["0.qcow2", "1.raw"];
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Installation {
    pub(super) folder: tempfile::TempDir,
    pub(super) proxy: MonitorProxy,
    pub(super) worker: Worker,
    machine: Option<QemuMachine>,
    caller: Caller,
    project: ProjectId,
    clock: Arc<MockClock>,
    server: ServerId,
    vault: VaultId,
    /// What the guest sees.
    disks: [Vec<u8>; 2],
    /// Kept for its drop.
    _database: TestDatabase,
}

impl Installation {
    /// None where QEMU is missing.
    pub(super) async fn new() -> Option<Self> {
        Self::with_audit(1).await
    }

    pub(super) async fn with_audit(audit_permille: u64) -> Option<Self> {
        Self::with_machine(QemuMachine::bare, audit_permille, None).await
    }

    /// Disks are read at so many bytes a second.
    pub(super) async fn with_pace(bytes_per_second: u64) -> Option<Self> {
        Self::with_machine(QemuMachine::bare, 1, Some(bytes_per_second)).await
    }

    /// `start` says what kind of machine runs in a folder.
    pub(super) async fn with_machine(
        start: fn(&Path) -> Option<QemuMachine>,
        audit_permille: u64,
        bytes_per_second: Option<u64>,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let machine = start(folder.path())?;
        let disks = DISKS.map(|disk| vec![0; virtual_size(&folder.path().join(disk))]);
        let proxy = MonitorProxy::start(&folder.path().join("proxy.sock"), &machine.monitor());
        let database = test_databases().await.remove(0);
        let clock = Arc::new(MockClock::default());
        let db = Db::open(&database.address).await.unwrap();
        let app = fixtures::app(db, &clock, Arc::new(LocalMachines));
        let (caller, project) = fixtures::administrator(&app).await;
        let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let new = NewServer {
            id: None,
            name: "web".to_owned(),
            disks: DISKS.map(place).to_vec(),
            qmp_socket: Some(place("proxy.sock")),
            guest_agent_socket: None,
            libvirt: None,
            tags: Vec::new(),
        };
        let server = inventory::add_server(&app, &caller, &project, new).await;
        let server = server.unwrap().server.id;
        let new = vault_of(server.clone().into());
        let vault = vaults::create(&app, &caller, &project, new).await;
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let repositories = Repositories::new(
            strongroom_store::Place::Folder(folder.path().join("repositories")),
            strongroom_store::Limits::default(),
            keys,
            folder.path().join("cache"),
            Env {
                clock: clock.clone(),
                ids: Arc::new(SeededIds::default()),
            },
        );
        let scratch = folder.path().join("scratch");
        let ids = Arc::new(SystemIds);
        let live = LiveHost::new(scratch.clone(), audit_permille, bytes_per_second, ids);
        let prover = Prover::new(ProveOptions::default(), scratch, Arc::new(SystemIds));
        Some(Self {
            proxy,
            worker: Worker {
                app,
                repositories: Arc::new(repositories),
                owner: "first".to_owned(),
                jobs_at_once: 1,
                live: Arc::new(live),
                machine_hook: None,
                prover: Arc::new(prover),
                collect: CollectOptions::default(),
            },
            machine: Some(machine),
            caller,
            project,
            clock,
            server,
            vault: vault_id(vault.unwrap()),
            disks,
            folder,
            _database: database,
        })
    }

    pub(super) fn machine(&self) -> &QemuMachine {
        self.machine.as_ref().unwrap()
    }

    pub(super) fn write(&mut self, disk: usize, byte: u8, range: Range<usize>) {
        self.machine().write(disk, byte, &range);
        self.disks[disk][range].fill(byte);
    }

    /// In order, so that bitmaps are kept.
    pub(super) fn stop(&mut self) {
        self.machine.take().unwrap().quit();
        self.take_monitor_away();
    }

    /// From now on nobody listens where the machine's monitor was.
    pub(super) fn take_monitor_away(&self) {
        let proxy = self.proxy.socket();
        fs::rename(proxy, proxy.with_extension("away")).unwrap();
    }

    pub(super) fn give_monitor_back(&self) {
        let proxy = self.proxy.socket();
        if !proxy.exists() {
            fs::rename(proxy.with_extension("away"), proxy).unwrap();
        }
    }

    pub(super) fn kill_machine(&mut self) {
        self.machine = None;
    }

    pub(super) fn start(&mut self) {
        self.machine = QemuMachine::bare(self.folder.path());
        self.give_monitor_back();
    }

    /// Works until something has failed at the monitor, and no longer: as if this process were killed then. Returns what has
    /// failed, if anything.
    pub(super) async fn work_until_struck(&self) -> Option<String> {
        tokio::select! {
            () = self.worker.run_until_idle() => None,
            struck = self.struck() => Some(struck),
        }
    }

    async fn struck(&self) -> String {
        loop {
            if let Some(struck) = self.proxy.struck() {
                return struck;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Backs up; something is done to the machine when the backup is about to give it this command.
    pub(super) async fn backed_up_while(
        &self,
        command: &str,
        done: impl FnOnce(&QemuMachine),
    ) -> Backup {
        tokio::join!(self.held_at(command, done), self.backed_up()).1
    }

    /// The same for one attempt, which may fail.
    pub(super) async fn attempted_while(&self, command: &str, done: impl FnOnce(&QemuMachine)) {
        tokio::join!(self.held_at(command, done), self.worker.run_until_idle());
    }

    async fn held_at(&self, command: &str, done: impl FnOnce(&QemuMachine)) {
        self.proxy.fail_at(command, MonitorFault::Hold);
        self.struck().await;
        done(self.machine());
        self.proxy.heal();
    }

    /// Another process of the service after this one was killed.
    pub(super) async fn next_worker(&mut self, owner: &str) {
        owner.clone_into(&mut self.worker.owner);
        crate::take_over(&self.worker.app, owner).await.unwrap();
        crate::live::sweep(&self.worker.app, &self.worker.live).await;
    }

    pub(super) async fn try_checkpoint(&self) -> Result<CheckpointId, Error> {
        self.try_checkpoint_of(true).await
    }

    pub(super) async fn try_checkpoint_of(&self, incremental: bool) -> Result<CheckpointId, Error> {
        let new = NewCheckpoint {
            incremental,
            ..self.new_checkpoint()
        };
        self.try_start(new).await
    }

    fn new_checkpoint(&self) -> NewCheckpoint {
        NewCheckpoint {
            vault_id: self.vault.clone(),
            name: None,
            description: String::new(),
            incremental: true,
            auto_trigger: false,
            policy_id: None,
            retention_days: -1,
            selection: Selection::WholeVault,
        }
    }

    async fn try_start(&self, new: NewCheckpoint) -> Result<CheckpointId, Error> {
        let app = &self.worker.app;
        let view = checkpoints::create(app, &self.caller, &self.project, new).await?;
        Ok(view.checkpoint.id)
    }

    pub(super) async fn checkpoint(&self) -> CheckpointId {
        self.try_checkpoint().await.unwrap()
    }

    /// One that belongs to the vault's policy.
    pub(super) async fn automatic_checkpoint(&self) -> CheckpointId {
        let new = NewCheckpoint {
            auto_trigger: true,
            ..self.new_checkpoint()
        };
        self.try_start(new).await.unwrap()
    }

    /// A policy of the vault, whose starts nobody takes up here.
    pub(super) async fn policy(&self) -> PolicyId {
        let (app, caller, project) = (&self.worker.app, &self.caller, &self.project);
        let made = policies::create(app, caller, project, fixtures::daily_policy()).await;
        let id = made.unwrap().policy.id;
        let new = NewAssociation {
            policy_id: Some(id.clone()),
            ..NewAssociation::default()
        };
        let applied = vault_policies::associate(app, caller, project, &self.vault, new).await;
        applied.unwrap();
        id
    }

    pub(super) async fn choose(&self, policy: &PolicyId, on_failed_freeze: FailedFreeze) {
        let change = OptionsChange {
            on_failed_freeze: Some(on_failed_freeze),
            prove: None,
        };
        let (app, caller, project) = (&self.worker.app, &self.caller, &self.project);
        let chosen = policies::change_options(app, caller, project, policy, change).await;
        chosen.unwrap();
    }

    /// Where the guest's agent is asked from now on.
    pub(super) async fn has_agent(&self, socket: &Path) {
        let mut tx = self.worker.app.db.begin().await.unwrap();
        let mut server = tx.find_server(&self.server).await.unwrap().unwrap();
        server.guest_agent_socket = Some(socket.to_str().unwrap().to_owned());
        tx.update_server_sockets(&server).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Why the last attempt of the one job that waits has failed.
    pub(super) async fn why_it_waits(&self) -> String {
        let mut tx = self.worker.app.db.read().await.unwrap();
        let jobs = tx.list_open_jobs().await.unwrap();
        let mut why = jobs.into_iter().filter_map(|job| job.last_error);
        why.next().unwrap_or_default()
    }

    pub(super) async fn only_backup_of(&self, id: &CheckpointId) -> Backup {
        let mut tx = self.worker.app.db.read().await.unwrap();
        tx.backups_of_checkpoint(id).await.unwrap().remove(0)
    }

    /// Works until an attempt is over; something is done to the machine when its disks have been read in part.
    pub(super) async fn attempted_and_midway(
        &self,
        id: &CheckpointId,
        done: impl FnOnce(&QemuMachine),
    ) {
        let midway = async {
            while self.only_backup_of(id).await.progress == 0 {
                tokio::time::sleep(PAUSE).await;
            }
            done(self.machine());
        };
        tokio::join!(self.worker.run_until_idle(), midway);
    }

    /// Works until the backup has ended, also after attempts that fail.
    pub(super) async fn finish(&self, id: &CheckpointId) -> Backup {
        for _ in 0..3 {
            self.worker.run_until_idle().await;
            let backup = self.only_backup_of(id).await;
            if !backup.status.is_protecting() {
                return backup;
            }
            self.clock.advance(Duration::from_mins(10));
        }
        panic!("{:?}", self.only_backup_of(id).await);
    }

    pub(super) async fn backed_up(&self) -> Backup {
        let id = self.checkpoint().await;
        self.backed_up_by(&id).await
    }

    pub(super) async fn backed_up_by(&self, id: &CheckpointId) -> Backup {
        self.clock.advance(Duration::from_secs(1));
        let backup = self.finish(id).await;
        let message = &backup.trouble_message;
        assert_eq!(backup.status, BackupStatus::Available, "{message}");
        backup
    }

    /// The disks' backups, the system disk's first.
    pub(super) async fn children(&self, backup: &Backup) -> Vec<Backup> {
        let mut tx = self.worker.app.db.read().await.unwrap();
        tx.children_of_backup(&backup.id).await.unwrap()
    }

    /// What was read for it of the disks, the system disk first.
    pub(super) async fn readings(&self, backup: &Backup) -> Vec<DiskReading> {
        let filter = OperationLogFilter::default();
        let page = Page::first(1000);
        let mut tx = self.worker.app.db.read().await.unwrap();
        let listed = tx.list_operation_logs(&self.project, &filter, &page).await;
        let extras = listed.unwrap().rows.into_iter().map(|row| row.extra.0);
        let mut found = extras.filter_map(|extra| match extra {
            OperationExtra::Backup {
                backup_id, disks, ..
            } if backup_id == backup.id => Some(disks),
            _ => None,
        });
        found.next().unwrap()
    }

    /// Fails unless the backup holds what the guest's disks hold now.
    pub(super) async fn holds(&self, backup: &Backup) {
        let target = self.folder.path().join("restored.raw");
        for (child, expected) in self.children(backup).await.iter().zip(&self.disks) {
            let file = fs::File::create(&target).unwrap();
            file.set_len(expected.len() as u64).unwrap();
            self.restore(child, &target, VolumeFormat::Raw).await;
            assert!(fs::read(&target).unwrap() == *expected, "{child:?}");
        }
    }

    async fn restore(&self, child: &Backup, target: &Path, format: VolumeFormat) {
        let repository = self.worker.repositories.get(&self.project).await.unwrap();
        let sink = open_sink(target, format).unwrap();
        let point = child.point_id.as_deref().unwrap().parse().unwrap();
        let progress = Progress::new(child.size_bytes);
        let stop = CancellationToken::new();
        let restored = transfer::restore(&repository, &point, sink, &progress, &stop).await;
        restored.unwrap();
    }

    /// Writes the system disk of a backup, which held `content`, over that of the machine, which is off.
    pub(super) async fn restore_system_disk(&mut self, backup: &Backup, content: Vec<u8>) {
        let child = self.children(backup).await.remove(0);
        let image = self.folder.path().join(DISKS[0]);
        self.restore(&child, &image, VolumeFormat::Qcow2).await;
        self.disks[0] = content;
    }

    /// What the guest sees of a disk.
    pub(super) fn content(&self, disk: usize) -> Vec<u8> {
        self.disks[disk].clone()
    }

    /// What the guest sees after it did something of its own to a disk.
    pub(super) fn set_content(&mut self, disk: usize, content: Vec<u8>) {
        self.disks[disk] = content;
    }

    pub(super) fn scratch_files(&self) -> usize {
        let folders = fs::read_dir(self.folder.path().join("scratch")).unwrap();
        let files = folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count());
        files.sum()
    }
}

/// Of an image that may be in use.
fn virtual_size(image: &Path) -> usize {
    let told = Command::new("qemu-img")
        .args(["info", "-U", "--output=json"])
        .arg(image)
        .output();
    let told: Value = serde_json::from_slice(&told.unwrap().stdout).unwrap();
    usize::try_from(told["virtual-size"].as_u64().unwrap()).unwrap()
}

fn vault_id(creation: VaultCreation) -> VaultId {
    match creation {
        VaultCreation::Created(view) => view.vault.id,
        VaultCreation::Ordered(order) => panic!("{order:?}"),
    }
}

fn vault_of(server: ResourceId) -> NewVault {
    NewVault {
        object_type: ObjectType::Server,
        consistent_level: ConsistentLevel::App,
        resources: vec![fixtures::whole(server.clone(), ResourceType::Server)],
        ..fixtures::vault(server)
    }
}

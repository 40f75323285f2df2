//! An installation with one project, disks that exist only in a table, and a worker that is a few function calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_db::{Backup, Db, Domain, Job, Lease, Page, Project};
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::{
    Accelerator, BackupId, Clock, CloudType, ConsistentLevel, DomainId, GIB, JobKind, MIB,
    MemberId, ObjectType, OperationLogId, OrganizationPolicyId, ProjectId, ProofVerdict,
    ProtectType, ResourceId, ResourceType, Role, ServerId, UserId, VaultId, VolumeFormat, VolumeId,
};

use super::recovery::points_of;
use crate::checkpoints::{self, CheckpointView, NewCheckpoint, Selection};
use crate::inventory::{self, NewServer, NewVolume, ServerView};
use crate::peers::NoPeers;
use crate::progress::{
    self, BackupOutcome, DiskOutcome, DiskSaved, Failure, MigrationUsage, PointOfVault, VaultUsage,
};
use crate::recovery::FoundPoint;
use crate::resources::{self, NewResource};
use crate::vaults::{self, Charging, NewVault, VaultCreation, VaultView};
use crate::{
    App, Caller, DiskError, DiskFacts, Disks, Error, GuestAgents, GuestError, GuestFacts,
    LibvirtDomain, MachineAddress, MachineError, MachineFacts, Machines, SecretSeal, Settings,
};

/// What every saved disk adds to the storage.
pub(super) const STORED: u64 = 100 * MIB;

#[derive(Debug, Default)]
pub(super) struct TableDisks(
    Mutex<BTreeMap<String, Result<DiskFacts, DiskError>>>,
    Mutex<BTreeMap<String, Result<MachineFacts, MachineError>>>,
);

/// By their monitors' sockets, or the names of their domains.
#[async_trait]
impl Machines for TableDisks {
    async fn ask(
        &self,
        address: &MachineAddress,
        places: &BTreeSet<String>,
    ) -> Result<MachineFacts, MachineError> {
        let (MachineAddress::Monitor(place)
        | MachineAddress::Libvirt(LibvirtDomain { domain: place, .. })) = address;
        let table = self.1.lock().unwrap();
        let mut answer = table
            .get(place)
            .cloned()
            .unwrap_or(Err(MachineError::Unreachable));
        if let Ok(facts) = &mut answer {
            facts.places.retain(|place| places.contains(place));
        }
        answer
    }
}

#[async_trait]
impl Disks for TableDisks {
    async fn examine(&self, path: &str) -> Result<DiskFacts, DiskError> {
        let table = self.0.lock().unwrap();
        table.get(path).cloned().unwrap_or(Err(DiskError::Missing))
    }
}

/// No server of the world has an agent that answers.
#[async_trait]
impl GuestAgents for TableDisks {
    async fn ask(&self, _socket: &str) -> Result<GuestFacts, GuestError> {
        Err(GuestError::Unreachable)
    }
}

pub(crate) struct World {
    pub(super) app: App,
    pub(super) clock: Arc<MockClock>,
    pub(super) disks: Arc<TableDisks>,
    pub(super) project: ProjectId,
    /// An administrator of the project.
    pub(super) caller: Caller,
    /// The points that its backups have written, those of deleted ones too.
    pub(super) written: Arc<Mutex<Vec<FoundPoint>>>,
}

impl World {
    pub(super) async fn new(db: Db) -> Self {
        Self::with_ids(db, SeededIds::default()).await
    }

    /// An installation whose ids are others than those of another world.
    pub(super) async fn with_ids(db: Db, ids: SeededIds) -> Self {
        let clock = Arc::new(MockClock::default());
        let disks = Arc::new(TableDisks::default());
        let app = App {
            db,
            clock: clock.clone(),
            ids: Arc::new(ids),
            disks: disks.clone(),
            guests: disks.clone(),
            machines: disks.clone(),
            peers: Arc::new(NoPeers),
            settings: Arc::new(Settings::default()),
            wake: Arc::default(),
            attachments_changed: Arc::default(),
            readers: Arc::default(),
            seal: Arc::new(SecretSeal::new(&[7; 32])),
        };
        let domain_id = DomainId::random(&*app.ids);
        let project = ProjectId::random(&*app.ids);
        let caller = Caller {
            user_id: UserId::random(&*app.ids),
            user_name: "admin".to_owned(),
            domain_id: domain_id.clone(),
            project_id: Some(project.clone()),
            role: Some(Role::Admin),
            request_id: "request".to_owned(),
        };
        let mut tx = app.db.begin().await.unwrap();
        let domain = Domain {
            id: domain_id,
            name: "default".to_owned(),
            created_at: clock.now(),
        };
        tx.insert_domain(&domain).await.unwrap();
        tx.commit().await.unwrap();
        let world = Self {
            app,
            clock,
            disks,
            project,
            caller,
            written: Arc::default(),
        };
        world.add_project(&world.project, "region-1").await;
        world
    }

    /// The same installation as another project of it sees it.
    pub(super) async fn other_project(&self, name: &str) -> Self {
        let project = ProjectId::random(&*self.app.ids);
        self.add_project(&project, name).await;
        Self {
            app: self.app.clone(),
            clock: self.clock.clone(),
            disks: self.disks.clone(),
            written: self.written.clone(),
            caller: Caller {
                user_id: UserId::random(&*self.app.ids),
                user_name: format!("user of {name}"),
                project_id: Some(project.clone()),
                role: Some(Role::Admin),
                ..self.caller.clone()
            },
            project,
        }
    }

    pub(super) async fn add_project(&self, id: &ProjectId, name: &str) {
        let mut tx = self.app.db.begin().await.unwrap();
        let project = Project {
            id: id.clone(),
            domain_id: self.caller.domain_id.clone(),
            name: name.to_owned(),
            created_at: self.clock.now(),
        };
        tx.insert_project(&project).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(super) fn set_disk(&self, path: &str, facts: DiskFacts) {
        self.disks
            .0
            .lock()
            .unwrap()
            .insert(path.to_owned(), Ok(facts));
    }

    /// What the machine behind a monitor's socket answers from now on.
    pub(super) fn set_machine(&self, monitor: &str, answer: Result<MachineFacts, MachineError>) {
        let mut machines = self.disks.1.lock().unwrap();
        machines.insert(monitor.to_owned(), answer);
    }

    pub(super) fn break_disk(&self, path: &str, error: DiskError) {
        self.disks
            .0
            .lock()
            .unwrap()
            .insert(path.to_owned(), Err(error));
    }

    /// A disk of so many GiB that nobody uses.
    pub(super) const fn idle(size_gb: u64) -> DiskFacts {
        DiskFacts {
            format: VolumeFormat::Raw,
            size_bytes: size_gb * GIB,
            in_use: false,
        }
    }

    pub(super) const fn running(size_gb: u64) -> DiskFacts {
        DiskFacts {
            in_use: true,
            ..Self::idle(size_gb)
        }
    }

    /// A server with a 10 GiB system disk at `/NAME/0` and 20 GiB data disks at `/NAME/1`, ….
    pub(super) async fn server(&self, name: &str, disks: usize) -> ServerView {
        let paths: Vec<_> = (0..disks).map(|n| format!("/{name}/{n}")).collect();
        for (n, path) in paths.iter().enumerate() {
            self.set_disk(path, Self::idle(if n == 0 { 10 } else { 20 }));
        }
        let new = NewServer {
            id: None,
            name: name.to_owned(),
            disks: paths,
            qmp_socket: None,
            guest_agent_socket: None,
            libvirt: None,
            tags: Vec::new(),
        };
        inventory::add_server(&self.app, &self.caller, &self.project, new)
            .await
            .unwrap()
    }

    /// A volume of 5 GiB at `/NAME`.
    pub(super) async fn volume(&self, name: &str) -> VolumeId {
        let path = format!("/{name}");
        self.set_disk(&path, Self::idle(5));
        let new = NewVolume {
            id: None,
            name: name.to_owned(),
            path,
            tags: Vec::new(),
        };
        let view = inventory::add_volume(&self.app, &self.caller, &self.project, new).await;
        view.unwrap().volume.id
    }

    pub(super) fn new_vault(name: &str, object_type: ObjectType) -> NewVault {
        NewVault {
            name: name.to_owned(),
            description: None,
            backup_name_prefix: None,
            object_type,
            protect_type: ProtectType::Backup,
            consistent_level: ConsistentLevel::Crash,
            cloud_type: CloudType::Public,
            size_gb: 200,
            charging: Charging::PostPaid,
            auto_bind: false,
            auto_expand: false,
            bind_rules: None,
            smn_notify: true,
            threshold: 80,
            locked: false,
            is_multi_az: false,
            demand_billing: false,
            enterprise_project_id: "0".to_owned(),
            availability_zone: String::new(),
            sys_lock_source_service: String::new(),
            tags: Vec::new(),
            resources: Vec::new(),
            backup_policy_id: None,
        }
    }

    pub(super) async fn create(&self, new: NewVault) -> Result<VaultCreation, Error> {
        self.clock.advance(Duration::from_secs(1));
        vaults::create(&self.app, &self.caller, &self.project, new).await
    }

    pub(super) async fn vault_of(&self, new: NewVault) -> VaultView {
        match self.create(new).await.unwrap() {
            VaultCreation::Created(view) => *view,
            VaultCreation::Ordered(order) => panic!("{order:?}"),
        }
    }

    /// A server vault that protects these servers.
    pub(super) async fn server_vault(&self, name: &str, servers: &[&ServerView]) -> VaultId {
        let resources = servers.iter().map(|s| protect_server(&s.server.id));
        let new = NewVault {
            resources: resources.collect(),
            ..Self::new_vault(name, ObjectType::Server)
        };
        self.vault_of(new).await.vault.id
    }

    pub(super) async fn disk_vault(&self, name: &str, volumes: &[&VolumeId]) -> VaultId {
        let new = NewVault {
            resources: volumes.iter().map(|id| protect_volume(id)).collect(),
            ..Self::new_vault(name, ObjectType::Disk)
        };
        self.vault_of(new).await.vault.id
    }

    pub(super) async fn get_vault(&self, id: &VaultId) -> Result<VaultView, Error> {
        vaults::get(&self.app, &self.caller, &self.project, id).await
    }

    pub(super) async fn add(
        &self,
        vault: &VaultId,
        resources: Vec<NewResource>,
    ) -> Result<Vec<ResourceId>, Error> {
        resources::add(&self.app, &self.caller, &self.project, vault, resources).await
    }

    pub(super) fn new_checkpoint(vault_id: &VaultId) -> NewCheckpoint {
        NewCheckpoint {
            vault_id: vault_id.clone(),
            name: Some("nightly".to_owned()),
            description: String::new(),
            incremental: true,
            auto_trigger: false,
            policy_id: None,
            retention_days: -1,
            selection: Selection::WholeVault,
        }
    }

    pub(super) async fn back_up(&self, new: NewCheckpoint) -> Result<CheckpointView, Error> {
        self.clock.advance(Duration::from_secs(1));
        checkpoints::create(&self.app, &self.caller, &self.project, new).await
    }

    /// Backs up a whole vault to the end, and answers the backups of its checkpoint.
    pub(super) async fn backed_up(&self, vault: &VaultId) -> Vec<Backup> {
        let view = self.back_up(Self::new_checkpoint(vault)).await.unwrap();
        self.run_jobs().await;
        let mut tx = self.app.db.read().await.unwrap();
        tx.backups_of_checkpoint(&view.checkpoint.id).await.unwrap()
    }

    pub(super) async fn backup(&self, id: &BackupId) -> Option<Backup> {
        self.app
            .db
            .read()
            .await
            .unwrap()
            .find_backup(id)
            .await
            .unwrap()
    }

    pub(super) async fn children(&self, id: &BackupId) -> Vec<Backup> {
        let mut tx = self.app.db.read().await.unwrap();
        tx.children_of_backup(id).await.unwrap()
    }

    /// Claims the next job that is due.
    pub(super) async fn claim(&self) -> Option<(Job, Lease)> {
        let mut tx = self.app.db.begin().await.unwrap();
        let minute = Duration::from_mins(1);
        let job = tx
            .claim_job("worker", self.clock.now(), minute)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        job.map(|job| {
            let lease = job.lease("worker");
            (job, lease)
        })
    }

    pub(super) async fn claim_some(&self) -> (Job, Lease) {
        self.claim().await.expect("a job is due")
    }

    /// Does every job well.
    pub(super) async fn run_jobs(&self) {
        while let Some((job, lease)) = self.claim().await {
            self.clock.advance(Duration::from_secs(1));
            self.run(&job, &lease).await;
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a table: a few lines for each kind of job"
    )]
    async fn run(&self, job: &Job, lease: &Lease) {
        let app = &self.app;
        match job.kind {
            JobKind::BackUp | JobKind::ReceiveReplica => {
                let id: BackupId = job.subject_id.parse().unwrap();
                self.finish(lease, &id).await;
            }
            JobKind::Restore => {
                let id: OperationLogId = job.subject_id.parse().unwrap();
                progress::start_restore(app, lease, &id).await.unwrap();
                progress::finish_restore(app, lease, &id).await.unwrap();
            }
            JobKind::DeleteBackup => {
                let id: BackupId = job.subject_id.parse().unwrap();
                let work = progress::start_delete_backup(app, lease, &id)
                    .await
                    .unwrap();
                let usage = self
                    .usage(&work.vault.id, work.resource_id.as_ref(), &[])
                    .await;
                progress::finish_delete_backup(app, lease, &id, usage)
                    .await
                    .unwrap();
            }
            JobKind::RemoveResource => {
                let id: OperationLogId = job.subject_id.parse().unwrap();
                let work = progress::start_remove_resource(app, lease, &id)
                    .await
                    .unwrap();
                let usage = self
                    .usage(&work.vault.id, work.resource_id.as_ref(), &[])
                    .await;
                progress::finish_remove_resource(app, lease, &id, usage)
                    .await
                    .unwrap();
            }
            JobKind::MigrateResource => {
                let id: OperationLogId = job.subject_id.parse().unwrap();
                let usage = self.migration(lease, &id).await;
                progress::finish_migration(app, lease, &id, usage)
                    .await
                    .unwrap();
            }
            JobKind::Replicate => {
                let id = job.subject_id.parse().unwrap();
                let turn = progress::start_replication(app, lease, &id).await.unwrap();
                let progress::ReplicationTurn::Now(work) = turn else {
                    panic!("jobs come in the order of the backups");
                };
                progress::finish_replication(app, lease, &work)
                    .await
                    .unwrap();
            }
            JobKind::SyncVault | JobKind::SyncBackup => {
                let work = progress::start_sync(app, lease).await.unwrap();
                let usage = self.usage(&work.vault.id, None, &[]).await;
                let counts = progress::SyncCounts::default();
                progress::finish_sync(app, lease, &work, counts, None, usage)
                    .await
                    .unwrap();
            }
            JobKind::Collect => {
                progress::finish_collection(app, lease, job).await.unwrap();
            }
            JobKind::Prove => {
                let work = progress::start_proof(app, lease).await.unwrap();
                let outcome = progress::ProofOutcome {
                    verdict: ProofVerdict::Boots,
                    reason: "its guest agent answered".to_owned(),
                    accelerator: Some(Accelerator::Tcg),
                    file_systems: Vec::new(),
                    console: String::new(),
                    screen: None,
                };
                progress::finish_proof(app, lease, &work.proof, outcome)
                    .await
                    .unwrap();
            }
            JobKind::DeployPolicy => {
                let id: OrganizationPolicyId = job.subject_id.parse().unwrap();
                crate::organization_policies::deploy(app, lease, &id)
                    .await
                    .unwrap();
            }
            JobKind::MeasureShare => {
                let id: MemberId = job.subject_id.parse().unwrap();
                let work = progress::start_measure_share(app, lease, &id)
                    .await
                    .unwrap();
                let bytes = work.points.len() as u64 * STORED;
                progress::finish_measure_share(app, lease, &id, &work.vault_id, bytes)
                    .await
                    .unwrap();
            }
            JobKind::DeleteVault => {
                let id: VaultId = job.subject_id.parse().unwrap();
                progress::start_delete_vault(app, lease, &id).await.unwrap();
                progress::finish_delete_vault(app, lease, &id)
                    .await
                    .unwrap();
            }
        }
    }

    /// Starts a move and measures what both vaults will hold.
    pub(super) async fn migration(&self, lease: &Lease, id: &OperationLogId) -> MigrationUsage {
        let work = progress::start_migration(&self.app, lease, id)
            .await
            .unwrap();
        let of = |vault: VaultId| async move {
            progress::list_points_of_vault(&self.app, &vault)
                .await
                .unwrap()
        };
        let count = |n: usize| n as u64 * STORED;
        let (moved, kept): (Vec<_>, Vec<_>) = of(work.source.id)
            .await
            .into_iter()
            .partition(|point| point.resource_id == work.resource_id);
        let there = of(work.destination_id).await;
        let ids = |points: &[PointOfVault]| -> Vec<String> {
            points.iter().map(|point| point.point_id.clone()).collect()
        };
        MigrationUsage {
            source: VaultUsage {
                points: ids(&kept),
                vault_bytes: count(kept.len()),
                resource_bytes: 0,
            },
            destination: VaultUsage {
                points: [ids(&there), ids(&moved)].concat(),
                vault_bytes: count(there.len() + moved.len()),
                resource_bytes: count(moved.len()),
            },
        }
    }

    /// Starts a backup and pretends that every disk was saved.
    pub(super) async fn save(&self, lease: &Lease, id: &BackupId) -> (BackupOutcome, VaultUsage) {
        let work = progress::start_backup(&self.app, lease, id).await.unwrap();
        let disks: Vec<_> = work.disks.iter().map(|disk| saved(&disk.backup)).collect();
        let points: Vec<_> = disks.iter().filter_map(point_of).collect();
        let usage = self
            .usage(&work.vault.id, Some(&work.backup.resource_id), &points)
            .await;
        // That of a copy is the original's.
        let protected_at = work.backup.protected_at.unwrap_or(self.clock.now());
        let written = points_of(&work, protected_at);
        self.written.lock().unwrap().extend(written);
        let outcome = BackupOutcome {
            disks,
            protected_at,
            quiesce: None,
            machine: work.machine,
        };
        (outcome, usage)
    }

    /// Has every disk saved, and publishes that.
    pub(super) async fn finish(&self, lease: &Lease, id: &BackupId) {
        let (outcome, usage) = self.save(lease, id).await;
        progress::finish_backup(&self.app, lease, id, outcome, usage)
            .await
            .unwrap();
    }

    /// Counts `STORED` for every point that the vault holds or is about to.
    pub(super) async fn usage(
        &self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
        new: &[String],
    ) -> VaultUsage {
        let held = progress::list_points_of_vault(&self.app, vault)
            .await
            .unwrap();
        let of_resource = held
            .iter()
            .filter(|p| Some(&p.resource_id) == resource)
            .count();
        let count = |n: usize| n as u64 * STORED;
        VaultUsage {
            vault_bytes: count(held.len() + new.len()),
            resource_bytes: count(of_resource + new.len()),
            points: held
                .into_iter()
                .map(|p| p.point_id)
                .chain(new.iter().cloned())
                .collect(),
        }
    }

    /// A page that holds everything.
    pub(super) const fn everything() -> Page {
        Page::first(1000)
    }
}

/// The outcome of a disk that was saved; its point is named after its row.
pub(super) fn saved(row: &Backup) -> DiskOutcome {
    DiskOutcome {
        backup_id: row.id.clone(),
        result: Ok(DiskSaved {
            point_id: format!("point of {}", row.id),
            size_bytes: row.size_bytes,
            stored_bytes: STORED,
            reading: None,
        }),
    }
}

pub(super) fn point_of(outcome: &DiskOutcome) -> Option<String> {
    outcome
        .result
        .as_ref()
        .ok()
        .map(|saved| saved.point_id.clone())
}

pub(super) fn failure() -> Failure {
    Failure {
        trouble: strongroom_types::Trouble::DiskUnreadable,
        message: "input/output error".to_owned(),
    }
}

pub(super) fn protect_server(id: &ServerId) -> NewResource {
    protect(id.clone().into(), ResourceType::Server)
}

pub(super) fn protect_volume(id: &VolumeId) -> NewResource {
    protect(id.clone().into(), ResourceType::Volume)
}

fn protect(id: ResourceId, resource_type: ResourceType) -> NewResource {
    NewResource {
        id,
        resource_type,
        name: None,
        exclude_volumes: None,
        include_volumes: None,
    }
}

//! `strongroom serve`: the API and a worker in one process.

mod connections;
pub(crate) mod first_start;
pub(crate) mod link;
pub(crate) mod logging;
pub(crate) mod storage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use nix::sys::stat::{Mode, umask};
use strongroom_api::{ApiState, Limiter};
use strongroom_db::Db;
use strongroom_service::{App, SecretSeal, Settings, attachments};
use strongroom_types::{IdSource, SystemClock, SystemIds};
use strongroom_worker::notify::{Channels, Notifier};
use strongroom_worker::{
    AttachmentKeeper, LiveHost, LocalDisks, LocalGuests, LocalMachines, Prover, Repositories,
    StoredContents, StoredReplicas, Watch, Worker,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{AttachTls, Config, Overrides};
use crate::data_dir::DataDir;
use crate::output::print_line;
use crate::signals::Signals;

/// After the signal, connections that are still open are cut off; jobs stop at their next step.
const GRACE: Duration = Duration::from_secs(10);
/// Between two cleanings of the metrics' histograms.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Holds the database, the keys and the repositories.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(serve: Serve) -> anyhow::Result<()> {
    let overrides = Overrides {
        listen: serve.listen,
        data_dir: serve.data_dir,
    };
    // Whatever this process makes is its owner's alone, in a data directory that others made too.
    umask(Mode::from_bits_truncate(0o077));
    let config = Config::load(serve.config.as_deref(), &overrides)?;
    logging::start(&config.log)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    let listener = bind(config.listen).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let owner = SystemIds.uuid();
    let channels = config.notify.channels()?;
    let app = open(&config, &data_dir, &owner).await?;
    first_start::credentials(&app, &data_dir.credentials(), &endpoint).await?;
    let stop = CancellationToken::new();
    let repositories = Arc::new(storage::repositories(&config, &data_dir, &app).await?);
    attachments::begin_again(&app).await?;
    let beside = beside(&config, channels, &repositories, &app, &stop)?;
    let replicas = StoredReplicas {
        repositories: Arc::clone(&repositories),
    };
    let contents = StoredContents::new(Arc::clone(&repositories));
    let mut worker =
        tokio::spawn(worker(&config, &data_dir, repositories, &app, owner).run(stop.clone()));
    let state = ApiState {
        app: app.clone(),
        public_url: config.public_url.clone(),
        render_metrics: render_metrics(stop.clone())?,
        trusted_proxies: config.trusted_proxies.clone().into(),
        limiter: Arc::new(Limiter::new(config.limits())),
        replicas: Arc::new(replicas),
        contents: Arc::new(contents),
    };
    let router = strongroom_api::router(state);
    let limits = connections::Limits::default();
    let serving = tokio::spawn(connections::serve(listener, router, limits, stop.clone()));
    let mut signals = Signals::handle()?;
    print_line(&format!("ready {endpoint}"));
    tokio::select! {
        () = signals.wait() => {}
        // Without a worker, nothing that was promised would be done.
        ended = &mut worker => ended.context("the worker stopped unexpectedly")?,
    }
    tracing::info!("stopping");
    stop.cancel();
    if tokio::time::timeout(GRACE, serving).await.is_err() {
        tracing::warn!("some connections were still open");
    }
    if !worker.is_finished() {
        worker.await.context("the worker stopped unexpectedly")?;
    }
    for (what, task) in beside {
        task.await
            .with_context(|| format!("what {what} stopped unexpectedly"))?;
    }
    app.db.close().await;
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("another process listens on {address} already")
        }
        bound => bound.with_context(|| format!("{address} cannot be listened on")),
    }
}

async fn open(config: &Config, data_dir: &DataDir, owner: &str) -> anyhow::Result<App> {
    data_dir.refuse_unfinished_recovery()?;
    let own = data_dir.database_address();
    let is_own = config
        .database
        .address
        .as_ref()
        .is_none_or(|address| *address == own);
    if is_own {
        data_dir.refuse_lost_database()?;
    }
    let app = open_app(config, data_dir).await?;
    // Whoever holds the lock of the directory with the database knows that all other owners are dead.
    if is_own {
        let freed = strongroom_worker::take_over(&app, owner).await?;
        tracing::info!(freed, "jobs of a former process are due again");
    }
    Ok(app)
}

/// The rules over the configured database, which is made when it is not there.
pub(crate) async fn open_app(config: &Config, data_dir: &DataDir) -> anyhow::Result<App> {
    let own = data_dir.database_address();
    let address = config.database.address.as_deref().unwrap_or(&own);
    let db = Db::open(address)
        .await
        .context("the database cannot be opened")?;
    if !data_dir.installation_key_exists() && db.read().await?.any_domain().await? {
        bail!(
            "{} is gone; bring it back, the secrets in the database cannot be read without it",
            data_dir.installation_key_file().display()
        );
    }
    let (peers, links) = config.read_peers()?;
    let links =
        link::HttpPeers::new(config.region.clone(), links).context("peers cannot be asked")?;
    let settings = Settings {
        region: config.region.clone(),
        availability_zone: format!("{}a", config.region),
        locked_time: config.locked_time(),
        audit_retention: config.audit_retention(),
        storage_units: config.storage_unit_settings(),
        notice_channels: config.notify.channels()?.names(),
        peers,
        stops_machines: config.worker.machine_hook.is_some(),
        attach_dir: attach_dir(config, data_dir)?,
        attach_tls: config.worker.attach_tls.as_ref().map(AttachTls::reached_at),
        new_servers_dir: new_servers_dir(config)?,
        ..Settings::default()
    };
    Ok(App {
        db,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        disks: Arc::new(LocalDisks),
        guests: Arc::new(LocalGuests::new(Arc::new(SystemIds))),
        machines: Arc::new(LocalMachines),
        peers: Arc::new(links),
        settings: Arc::new(settings),
        wake: Arc::default(),
        attachments_changed: Arc::default(),
        readers: Arc::default(),
        seal: Arc::new(SecretSeal::new(&*data_dir.installation_key(&SystemIds)?)),
    })
}

/// As text, for it is shown to those who connect.
fn attach_dir(config: &Config, data_dir: &DataDir) -> anyhow::Result<String> {
    let folder = config.worker.attach_dir.clone();
    let folder = std::path::absolute(folder.unwrap_or_else(|| data_dir.attached()))?;
    let text = folder.to_str();
    let text = text.with_context(|| format!("{} is not UTF-8", folder.display()))?;
    Ok(text.to_owned())
}

/// As text, for the images in it are disks of the inventory.
fn new_servers_dir(config: &Config) -> anyhow::Result<Option<String>> {
    let Some(folder) = &config.worker.new_servers_dir else {
        return Ok(None);
    };
    let folder: PathBuf = folder.components().collect();
    let text = folder.to_str();
    let text = text.with_context(|| format!("{} is not UTF-8", folder.display()))?;
    Ok(Some(text.to_owned()))
}

fn worker(
    config: &Config,
    data_dir: &DataDir,
    repositories: Arc<Repositories>,
    app: &App,
    owner: String,
) -> Worker {
    let scratch_dir = config.worker.scratch_dir.clone();
    let scratch_dir = scratch_dir.unwrap_or_else(|| data_dir.scratch());
    let live = LiveHost::new(
        scratch_dir.clone(),
        config.worker.audit_permille,
        config.worker.live_mib_per_second.map(|mib| mib << 20),
        Arc::new(SystemIds),
    );
    let prover = Prover::new(
        config.worker.prove.options(),
        scratch_dir,
        Arc::new(SystemIds),
    );
    Worker {
        app: app.clone(),
        repositories,
        owner,
        jobs_at_once: config.worker.jobs_at_once,
        live: Arc::new(live),
        machine_hook: config.worker.machine_hook(),
        prover: Arc::new(prover),
        collect: config.worker.collect_options(),
    }
}

/// What goes on beside the jobs, until `stop`, and what each of it does.
fn beside(
    config: &Config,
    channels: Channels,
    repositories: &Arc<Repositories>,
    app: &App,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<(&'static str, JoinHandle<()>)>> {
    let tls = config.worker.attach_tls.as_ref();
    let keeper = AttachmentKeeper {
        app: app.clone(),
        repositories: Arc::clone(repositories),
        cache_bytes: config.worker.attach_cache_mib << 20,
        tls: tls.map(AttachTls::serve).transpose()?,
    };
    let notifier = Notifier {
        app: app.clone(),
        channels,
    };
    let mut tasks = vec![
        (
            "serves attached backups",
            tokio::spawn(keeper.run(stop.clone())),
        ),
        ("sends notices", tokio::spawn(notifier.run(stop.clone()))),
    ];
    if let Some(folder) = config.worker.machines_dir.clone() {
        let watch = Watch::new(folder, config.worker.machines_project.clone());
        let watching = tokio::spawn(watch.run(app.clone(), stop.clone()));
        tasks.push(("looks for machines", watching));
    }
    Ok(tasks)
}

fn render_metrics(stop: CancellationToken) -> anyhow::Result<strongroom_api::RenderMetrics> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .context("metrics cannot be collected")?;
    strongroom_worker::metrics::describe();
    tokio::spawn(keep_up(handle.clone(), stop));
    Ok(Arc::new(move || handle.render()))
}

async fn keep_up(handle: PrometheusHandle, stop: CancellationToken) {
    let mut tick = tokio::time::interval(METRICS_UPKEEP);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tick.tick() => handle.run_upkeep(),
        }
    }
}

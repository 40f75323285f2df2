//! `strongroom recover`: a service comes back from its repositories after its database was lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::stat::{Mode, umask};
use serde::Serialize;
use strongroom_repo::VerifyDepth;
use strongroom_service::App;
use strongroom_service::recovery::recoverer;
use strongroom_types::{ProjectId, SystemIds};
use strongroom_worker::Repositories;
use strongroom_worker::recovery::{Recovered, Scan, recover, scan};
use zeroize::Zeroizing;

use crate::config::{Config, Overrides};
use crate::data_dir::{DataDir, write_private};
use crate::output::{Format, print_json, print_table, remark};
use crate::server::{first_start, logging, open_app, storage};

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The TOML file with the settings of `serve`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of `serve`; what of it is lost is made anew.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The key of a project's repository, where the data directory has lost it; may be given several times.
    #[arg(long = "key", value_name = "PROJECT=FILE", value_parser = parse_key)]
    keys: Vec<Key>,
    /// Read, decrypt and hash everything, instead of checking structure alone.
    #[arg(long)]
    read_data: bool,
}

#[derive(Debug, Clone)]
struct Key {
    project: ProjectId,
    file: PathBuf,
}

fn parse_key(text: &str) -> Result<Key, String> {
    let (project, file) = text
        .split_once('=')
        .ok_or("a project's id, `=` and a file are needed")?;
    Ok(Key {
        project: project
            .parse()
            .map_err(|_| "a project's id has 32 hex digits")?,
        file: PathBuf::from(file),
    })
}

/// What was found in one project's repository, and what became of it.
#[derive(Debug, Serialize)]
struct Answer {
    project_id: ProjectId,
    #[serde(flatten)]
    recovered: Recovered,
    /// Points that no backup of the service made.
    others: u64,
    damaged_objects: u64,
}

pub(crate) async fn run(recover: Recover, format: Format) -> anyhow::Result<ExitCode> {
    umask(Mode::from_bits_truncate(0o077));
    let overrides = Overrides {
        listen: None,
        data_dir: recover.data_dir.clone(),
    };
    let config = Config::load(recover.config.as_deref(), &overrides)?;
    logging::start(&config.log)?;
    let data_dir = DataDir::open(&config.data_dir)?;
    for key in &recover.keys {
        place_key(&data_dir, key)?;
    }
    let projects = projects(&config, &data_dir)?;
    data_dir.begin_recovery()?;
    let app = open_app(&config, &data_dir).await?;
    let answers = recover_all(&recover, &config, &data_dir, &app, &projects).await?;
    app.db.close().await;
    data_dir.end_recovery()?;
    let is_whole = answers.iter().all(|answer| {
        let recovered = &answer.recovered;
        recovered.listed_broken == 0 && recovered.elsewhere == 0 && answer.damaged_objects == 0
    });
    print(&answers, format)?;
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Puts a copy of a key where the server looks for it; one that is there is not replaced.
fn place_key(data_dir: &DataDir, key: &Key) -> anyhow::Result<()> {
    let read = |file: &Path| {
        let content =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()));
        content.map(Zeroizing::new)
    };
    let content = read(&key.file)?;
    let place = data_dir.keys().join(format!("{}.key", key.project));
    if !place.exists() {
        return write_private(&place, &content);
    }
    if *read(&place)? != *content {
        bail!("{} is there already, with another key", place.display());
    }
    Ok(())
}

/// The projects whose keys are there. A repository without a key cannot be recovered, and nobody shall miss it in silence.
fn projects(config: &Config, data_dir: &DataDir) -> anyhow::Result<Vec<ProjectId>> {
    let mut projects = ids(&data_dir.keys(), ".key")?;
    if let strongroom_store::Place::Folder(folder) = config.place(data_dir.repositories())?
        && folder.exists()
    {
        for project in ids(&folder, "")? {
            if !projects.contains(&project) {
                remark(&format!(
                    "the repository {} has no key in {}; give it with --key",
                    folder.join(project.as_str()).display(),
                    data_dir.keys().display()
                ));
            }
        }
    }
    projects.sort();
    if projects.is_empty() {
        bail!(
            "there is no key in {}: nothing can be recovered without one",
            data_dir.keys().display()
        );
    }
    Ok(projects)
}

/// The projects that entries of a folder are named after.
fn ids(folder: &Path, suffix: &str) -> anyhow::Result<Vec<ProjectId>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        let name = name.to_string_lossy();
        found.extend(name.strip_suffix(suffix).and_then(|id| id.parse().ok()));
    }
    Ok(found)
}

async fn recover_all(
    wish: &Recover,
    config: &Config,
    data_dir: &DataDir,
    app: &App,
    projects: &[ProjectId],
) -> anyhow::Result<Vec<Answer>> {
    let repositories = storage::repositories(config, data_dir, app).await?;
    let depth = if wish.read_data {
        VerifyDepth::ReadData
    } else {
        VerifyDepth::Structure
    };
    let mut scans = BTreeMap::new();
    for project in projects {
        let scanned = scan_one(&repositories, project, depth).await;
        let scanned = scanned
            .with_context(|| format!("the repository of project {project} cannot be recovered"))?;
        scans.insert(project.clone(), scanned);
    }
    let first = first_project(&scans, &app.settings.region);
    let endpoint = format!("http://{}", config.listen);
    first_start::credentials_in(app, first, &data_dir.credentials(), &endpoint).await?;
    let by = recoverer(app)
        .await?
        .context("the installation has no user")?;
    let mut answers = Vec::new();
    for (project, scanned) in scans {
        let repository = repositories.get_existing(&project).await?;
        let recovered = recover(app, &by, &project, &repository, &scanned).await?;
        answers.push(Answer {
            project_id: project,
            recovered,
            others: scanned.others,
            damaged_objects: scanned.report.damage_count,
        });
    }
    Ok(answers)
}

async fn scan_one(
    repositories: &Repositories,
    project: &ProjectId,
    depth: VerifyDepth,
) -> anyhow::Result<Scan> {
    let repository = repositories.get_existing(project).await?;
    Ok(scan(&repository, depth).await?)
}

/// The project that clients look up by the region's name keeps its id.
fn first_project(scans: &BTreeMap<ProjectId, Scan>, region: &str) -> ProjectId {
    let is_first = |scan: &Scan| {
        let newest = scan.backups.last();
        newest.is_some_and(|found| found.disks[0].provenance.project.name == region)
    };
    let first = scans.iter().find(|(_, scan)| is_first(scan));
    first.map_or_else(|| ProjectId::random(&SystemIds), |(id, _)| id.clone())
}

fn print(answers: &[Answer], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return print_json(&answers);
    }
    let header = [
        "project",
        "listed",
        "broken",
        "mended",
        "known",
        "elsewhere",
        "other points",
        "damaged objects",
    ];
    let row = |answer: &Answer| {
        let recovered = &answer.recovered;
        let counts = [
            recovered.listed,
            recovered.listed_broken,
            recovered.mended,
            recovered.known,
            recovered.elsewhere,
            answer.others,
            answer.damaged_objects,
        ];
        let id = std::iter::once(answer.project_id.to_string());
        id.chain(counts.iter().map(u64::to_string)).collect()
    };
    print_table(&header, answers.iter().map(row).collect());
    Ok(())
}

//! Agents on machines outside the inventory. They register themselves and say so again now and then; what they are to back up
//! is kept for them. Backups of files are not made yet: no vault takes an agent's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strongroom_db::{FileAgent, FileAgentFilter, FileAgentPath, JsonText, Page, Tx};
use strongroom_types::{AgentId, AgentPathId, AgentStatus, ProjectId, Timestamp};

use crate::{Action, App, Caller, Error};

/// An agent that registers every few minutes has missed several when it is not heard of for so long.
pub const SILENCE: Duration = Duration::from_mins(15);
const PATHS_MAX: usize = 64;
const PATH_LENGTH_MAX: usize = 1024;

/// What an agent says of itself.
#[derive(Debug, Clone)]
pub struct NewFileAgent {
    pub id: AgentId,
    pub agent_type: String,
    pub agent_version: String,
    pub host_ip: String,
    pub host_name: String,
    pub host_nickname: String,
    pub host_os: String,
}

#[derive(Debug, Clone)]
pub struct FileAgentView {
    pub agent: FileAgent,
    pub status: AgentStatus,
    /// In the order they were added.
    pub paths: Vec<FileAgentPath>,
}

/// Which agents to list; absent or empty fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct AgentFilter {
    pub ids: Vec<AgentId>,
    pub status: Option<AgentStatus>,
}

/// Directories below one that is backed up, to be left out.
#[derive(Debug, Clone)]
pub struct Exclusion {
    pub path: String,
    pub excluded: Vec<String>,
}

/// Registers an agent, or hears of it again: this is how it shows that it is there.
pub async fn register(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewFileAgent,
) -> Result<FileAgentView, Error> {
    caller.authorise(Action::AgentsRegister, project)?;
    let now = app.now();
    let agent = FileAgent {
        id: new.id,
        project_id: project.clone(),
        agent_type: new.agent_type,
        agent_version: new.agent_version,
        host_ip: new.host_ip,
        host_name: new.host_name,
        host_nickname: new.host_nickname,
        host_os: new.host_os,
        uninstalling: false,
        last_active_at: now,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.begin().await?;
    if !tx.register_file_agent(&agent).await? {
        return Err(Error::AgentIdTaken);
    }
    crate::audit::made("agent", &agent.id);
    let view = find(&mut tx, project, &agent.id, now).await?;
    tx.commit().await?;
    Ok(view)
}

/// The page, newest first, and how many agents match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: AgentFilter,
    page: &Page,
) -> Result<(Vec<FileAgentView>, u64), Error> {
    caller.authorise(Action::AgentsList, project)?;
    let now = app.now();
    let heard = now.minus(SILENCE);
    let status = filter.status;
    let filter = FileAgentFilter {
        ids: filter.ids,
        uninstalling: status.map(|status| status == AgentStatus::Uninstall),
        active_since: (status == Some(AgentStatus::Normal)).then_some(heard),
        silent_since: (status == Some(AgentStatus::Abnormal)).then_some(heard),
    };
    let mut tx = app.db.read().await?;
    let listed = tx.list_file_agents(project, &filter, page).await?;
    let views = views(&mut tx, listed.rows, now).await?;
    Ok((views, listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AgentId,
) -> Result<FileAgentView, Error> {
    caller.authorise(Action::AgentsGet, project)?;
    let mut tx = app.db.read().await?;
    find(&mut tx, project, id, app.now()).await
}

/// Notes that the agent is to go; the only change that there is.
pub async fn uninstall(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AgentId,
) -> Result<FileAgentView, Error> {
    caller.authorise(Action::AgentsUpdate, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    lock(&mut tx, project, id).await?;
    tx.uninstall_file_agent(id, now).await?;
    let view = find(&mut tx, project, id, now).await?;
    tx.commit().await?;
    Ok(view)
}

/// Forgets an agent and its paths. It has no backups that could go with it.
pub async fn unregister(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AgentId,
) -> Result<(), Error> {
    caller.authorise(Action::AgentsDelete, project)?;
    let mut tx = app.db.begin().await?;
    lock(&mut tx, project, id).await?;
    tx.delete_file_agent(id).await?;
    tx.commit().await?;
    Ok(())
}

/// Adds directories to back up, which are not looked at. Answers which were added and which were there already; the
/// exclusions apply to both.
pub async fn add_paths(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AgentId,
    paths: Vec<String>,
    exclusions: Vec<Exclusion>,
) -> Result<(Vec<String>, Vec<String>), Error> {
    caller.authorise(Action::AgentsAddPath, project)?;
    check_paths(&paths)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    lock(&mut tx, project, id).await?;
    let known = tx.paths_of_file_agents(std::slice::from_ref(id)).await?;
    let mut known: BTreeMap<_, _> = known.into_iter().map(|p| (p.dir_path.clone(), p)).collect();
    let (existed, added): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| known.contains_key(path));
    if known.len() + added.len() > PATHS_MAX {
        return Err(Error::TooManyPaths { max: PATHS_MAX });
    }
    for path in &added {
        let row = FileAgentPath {
            id: AgentPathId::random(&*app.ids),
            agent_id: id.clone(),
            dir_path: path.clone(),
            exclude_paths: JsonText(Vec::new()),
            created_at: now,
        };
        known.insert(path.clone(), row);
    }
    for Exclusion { path, excluded } in exclusions {
        check_excluded(&excluded)?;
        let row = known.get_mut(&path);
        let row = row.ok_or_else(|| {
            Error::invalid("exclude_path names a directory that is not backed up.")
        })?;
        row.exclude_paths = JsonText(excluded);
    }
    for row in known.values() {
        tx.upsert_file_agent_path(row).await?;
    }
    tx.commit().await?;
    Ok((added, existed))
}

/// Answers which were removed, and which were not there.
pub async fn remove_paths(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &AgentId,
    paths: Vec<String>,
) -> Result<(Vec<String>, Vec<String>), Error> {
    caller.authorise(Action::AgentsRemovePath, project)?;
    let mut tx = app.db.begin().await?;
    lock(&mut tx, project, id).await?;
    let (mut removed, mut unknown) = (Vec::new(), Vec::new());
    for path in paths {
        if tx.delete_file_agent_path(id, &path).await? {
            removed.push(path);
        } else {
            unknown.push(path);
        }
    }
    tx.commit().await?;
    Ok((removed, unknown))
}

fn check_paths(paths: &[String]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for path in paths {
        if !is_absolute(path) || path.chars().count() > PATH_LENGTH_MAX {
            return Err(Error::invalid(
                "add_path must hold absolute paths: /directory, C:\\directory or \\\\host\\share.",
            ));
        }
        if !seen.insert(path) {
            return Err(Error::invalid("add_path names a directory twice."));
        }
    }
    Ok(())
}

/// Of a Unix machine, or of a Windows one with a drive or a share.
fn is_absolute(path: &str) -> bool {
    let mut start = path.chars();
    match (start.next(), start.next(), start.next()) {
        (Some('/'), ..) | (Some('\\'), Some('\\'), Some(_)) => true,
        (Some(drive), Some(':'), Some('\\' | '/')) => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

/// They are shown joined by commas.
fn check_excluded(excluded: &[String]) -> Result<(), Error> {
    let fits = |path: &String| {
        !path.is_empty() && !path.contains(',') && path.chars().count() <= PATH_LENGTH_MAX
    };
    if excluded.len() <= PATHS_MAX && excluded.iter().all(fits) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "exclude_path_name must have at most {PATHS_MAX} paths of 1 to {PATH_LENGTH_MAX} characters without commas."
    )))
}

/// An agent of another project is as unknown as one that does not exist.
fn owned(agent: Option<FileAgent>, project: &ProjectId) -> Result<FileAgent, Error> {
    let own = agent.filter(|agent| agent.project_id == *project);
    own.ok_or(Error::AgentNotFound)
}

async fn lock(tx: &mut Tx, project: &ProjectId, id: &AgentId) -> Result<FileAgent, Error> {
    owned(tx.lock_file_agent(id).await?, project)
}

async fn find(
    tx: &mut Tx,
    project: &ProjectId,
    id: &AgentId,
    now: Timestamp,
) -> Result<FileAgentView, Error> {
    let agent = owned(tx.find_file_agent(id).await?, project)?;
    let view = views(tx, vec![agent], now).await?.pop();
    view.ok_or_else(|| Error::broken("one agent has one view"))
}

async fn views(
    tx: &mut Tx,
    agents: Vec<FileAgent>,
    now: Timestamp,
) -> Result<Vec<FileAgentView>, Error> {
    let ids: Vec<_> = agents.iter().map(|agent| agent.id.clone()).collect();
    let mut paths: BTreeMap<AgentId, Vec<FileAgentPath>> = BTreeMap::new();
    for path in tx.paths_of_file_agents(&ids).await? {
        paths.entry(path.agent_id.clone()).or_default().push(path);
    }
    let views = agents.into_iter().map(|agent| FileAgentView {
        paths: paths.remove(&agent.id).unwrap_or_default(),
        status: status(&agent, now),
        agent,
    });
    Ok(views.collect())
}

fn status(agent: &FileAgent, now: Timestamp) -> AgentStatus {
    if agent.uninstalling {
        AgentStatus::Uninstall
    } else if agent.last_active_at >= now.minus(SILENCE) {
        AgentStatus::Normal
    } else {
        AgentStatus::Abnormal
    }
}

use axum::extract::State;
use strongroom_service::file_agents::{self, AgentFilter, Exclusion, FileAgentView, NewFileAgent};
use strongroom_wire::CbrTime;
use strongroom_wire::Code;
use strongroom_wire::file_agents::{
    AddAgentPathAnswer, AddAgentPathRequest, Agent, AgentAnswer, AgentChangeStatus, AgentList,
    AgentPath, AgentRegistration, ListAgentsQuery, RegisterAgentRequest, RemoveAgentPathAnswer,
    RemoveAgentPathRequest, UpdateAgentRequest,
};
use strongroom_wire::values::{Label, ShortText};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::convert::{DEFAULT_LIMIT, check_count, page};
use crate::extract::{Json, Path, Query};
use crate::params::AgentIdPath;
use crate::{ApiError, ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(register_agent, list_agent))
        .routes(routes!(show_agent, update_agent, unregister_agent))
        .routes(routes!(add_agent_path))
        .routes(routes!(remove_agent_path))
}

/// Register an agent, or hear of it again.
#[utoipa::path(post, path = "/v3/{project_id}/agents", tag = "agents",
    request_body = RegisterAgentRequest, responses((status = 200, body = AgentAnswer)))]
async fn register_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<RegisterAgentRequest>,
) -> Result<Json<AgentAnswer>, ApiError> {
    caller.authorise(strongroom_service::Action::AgentsRegister, &project)?;
    let new = new_agent(request.agent)?;
    let view = file_agents::register(&state.app, &caller, &project, new).await?;
    Ok(Json(AgentAnswer { agent: agent(view) }))
}

/// List agents, newest first.
#[utoipa::path(get, path = "/v3/{project_id}/agents", tag = "agents",
    params(ListAgentsQuery), responses((status = 200, body = AgentList)))]
async fn list_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListAgentsQuery>,
) -> Result<Json<AgentList>, ApiError> {
    check_count("agent_id", &query.agent_id, 0..=256)?;
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let filter = AgentFilter {
        ids: query.agent_id,
        status: query.status,
    };
    let listed = file_agents::list(&state.app, &caller, &project, filter, &page);
    let (views, count) = listed.await?;
    Ok(Json(AgentList {
        agents: views.into_iter().map(agent).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Show one agent with its paths.
#[utoipa::path(get, path = "/v3/{project_id}/agents/{agent_id}", tag = "agents",
    params(AgentIdPath), responses((status = 200, body = AgentAnswer)))]
async fn show_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AgentIdPath>,
) -> Result<Json<AgentAnswer>, ApiError> {
    let view = file_agents::get(&state.app, &caller, &project, &path.agent_id).await?;
    Ok(Json(AgentAnswer { agent: agent(view) }))
}

/// Note that an agent is to go.
#[utoipa::path(put, path = "/v3/{project_id}/agents/{agent_id}", tag = "agents",
    params(AgentIdPath), request_body = UpdateAgentRequest,
    responses((status = 200, body = AgentAnswer)))]
async fn update_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AgentIdPath>,
    Json(request): Json<UpdateAgentRequest>,
) -> Result<Json<AgentAnswer>, ApiError> {
    let AgentChangeStatus::Uninstall = request.agent.status;
    let view = file_agents::uninstall(&state.app, &caller, &project, &path.agent_id).await?;
    Ok(Json(AgentAnswer { agent: agent(view) }))
}

/// Forget an agent.
#[utoipa::path(delete, path = "/v3/{project_id}/agents/{agent_id}", tag = "agents",
    params(AgentIdPath), responses((status = 200)))]
async fn unregister_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AgentIdPath>,
) -> Result<(), ApiError> {
    Ok(file_agents::unregister(&state.app, &caller, &project, &path.agent_id).await?)
}

/// Add directories that an agent is to back up.
#[utoipa::path(post, path = "/v3/{project_id}/agents/{agent_id}/add-path", tag = "agents",
    params(AgentIdPath), request_body = AddAgentPathRequest,
    responses((status = 200, body = AddAgentPathAnswer)))]
async fn add_agent_path(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AgentIdPath>,
    Json(request): Json<AddAgentPathRequest>,
) -> Result<Json<AddAgentPathAnswer>, ApiError> {
    let exclusions = request.exclude_path.unwrap_or_default().into_iter();
    let exclusions = exclusions.map(|exclusion| Exclusion {
        path: exclusion.path_name,
        excluded: exclusion.exclude_path_name,
    });
    let (id, paths, exclusions) = (&path.agent_id, request.add_path, exclusions.collect());
    let changed = file_agents::add_paths(&state.app, &caller, &project, id, paths, exclusions);
    let (added, existed) = changed.await?;
    Ok(Json(AddAgentPathAnswer { added, existed }))
}

/// Remove directories that an agent was to back up.
#[utoipa::path(post, path = "/v3/{project_id}/agents/{agent_id}/remove-path", tag = "agents",
    params(AgentIdPath), request_body = RemoveAgentPathRequest,
    responses((status = 200, body = RemoveAgentPathAnswer)))]
async fn remove_agent_path(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AgentIdPath>,
    Json(request): Json<RemoveAgentPathRequest>,
) -> Result<Json<RemoveAgentPathAnswer>, ApiError> {
    check_count("remove_path", &request.remove_path, 0..=256)?;
    let (id, paths) = (&path.agent_id, request.remove_path);
    let changed = file_agents::remove_paths(&state.app, &caller, &project, id, paths);
    let (removed, not_existed) = changed.await?;
    Ok(Json(RemoveAgentPathAnswer {
        removed,
        not_existed,
    }))
}

fn new_agent(registration: AgentRegistration) -> Result<NewFileAgent, ApiError> {
    let id = registration.agent_id.as_str().parse();
    let text = |text: Option<ShortText>| text.map(ShortText::into_string).unwrap_or_default();
    let nickname = registration.host_nickname.map(Label::into_string);
    Ok(NewFileAgent {
        id: id.map_err(|_| ApiError::of(Code::BadAgentId))?,
        agent_type: text(registration.agent_type),
        agent_version: text(registration.agent_version),
        host_ip: registration.host_ip.into_string(),
        host_name: registration.host_name.into_string(),
        host_nickname: nickname.unwrap_or_default(),
        host_os: registration.host_os.into_string(),
    })
}

fn agent(view: FileAgentView) -> Agent {
    let FileAgentView {
        agent,
        status,
        paths,
    } = view;
    let paths = paths.into_iter().map(|path| AgentPath {
        id: path.id,
        agent_id: path.agent_id,
        dir_path: path.dir_path,
        exclude_paths: path.exclude_paths.0.join(","),
        status: "available".to_owned(),
    });
    Agent {
        paths: paths.collect(),
        agent_id: agent.id,
        agent_type: agent.agent_type,
        agent_version: agent.agent_version,
        host_ip: agent.host_ip,
        host_name: agent.host_name,
        host_nickname: agent.host_nickname,
        host_os: agent.host_os,
        status,
        last_active_time: CbrTime(agent.last_active_at),
        created_at: CbrTime(agent.created_at),
        updated_at: CbrTime(agent.updated_at),
    }
}

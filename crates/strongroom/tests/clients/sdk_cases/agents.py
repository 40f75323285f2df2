"""Agents in machines: those of the files, and the one that stills applications."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal, one

from .case import INVALID, refused
from .stage import NOWHERE, SERVER

AGENT = "11111111-2222-4333-8444-555555555555"
UNKNOWN_AGENT = "BackupService.7410"


def new_agent(agent_id):
    agent = m.AgentRegister(
        agent_id=agent_id, host_name="build-7", host_ip="192.0.2.7", host_os="Linux", agent_version="1.0.0"
    )
    return m.RegisterAgentRequest(body=m.AgentRegisterReq(agent=agent))


@refused(400, "BackupService.7403", lambda stage: new_agent("no id"))
def register_agent(stage):
    agent = stage.client.register_agent(new_agent(AGENT)).agent
    equal((agent.agent_id, agent.host_name, agent.status), (AGENT, "build-7", "normal"), "the new agent")


@refused(404, UNKNOWN_AGENT, lambda stage: m.ShowAgentRequest(agent_id=NOWHERE))
def show_agent(stage):
    equal(stage.client.show_agent(m.ShowAgentRequest(agent_id=AGENT)).agent.host_ip, "192.0.2.7", "the agent's address")


@refused(400, INVALID, lambda stage: m.ListAgentRequest(limit="none"))
def list_agent(stage):
    agents = stage.client.list_agent(m.ListAgentRequest(limit="10")).agents
    equal(one(agents, "agents").agent_id, AGENT, "the agent in the list")


def add_path(agent_id):
    return m.AddAgentPathRequest(agent_id=agent_id, body=m.AgentAddPathReq(add_path=["/srv/data"]))


@refused(404, UNKNOWN_AGENT, lambda stage: add_path(NOWHERE))
def add_agent_path(stage):
    answer = stage.client.add_agent_path(add_path(AGENT))
    equal((answer.added, answer.existed), (["/srv/data"], []), "the added paths")


def remove_path(agent_id):
    return m.RemoveAgentPathRequest(agent_id=agent_id, body=m.AgentRemovePathReq(remove_path=["/srv/data"]))


@refused(404, UNKNOWN_AGENT, lambda stage: remove_path(NOWHERE))
def remove_agent_path(stage):
    answer = stage.client.remove_agent_path(remove_path(AGENT))
    equal((answer.removed, answer.not_existed), (["/srv/data"], []), "the removed paths")


def change_agent(agent_id, status):
    return m.UpdateAgentRequest(agent_id=agent_id, body=m.AgentUpdateReq(agent=m.AgentUpdate(status=status)))


@refused(400, INVALID, lambda stage: change_agent(AGENT, "normal"))
def update_agent(stage):
    equal(stage.client.update_agent(change_agent(AGENT, "uninstall")).agent.status, "uninstall", "the agent's status")


@refused(404, UNKNOWN_AGENT, lambda stage: m.UnregisterAgentRequest(agent_id=AGENT))
def unregister_agent(stage):
    stage.client.unregister_agent(m.UnregisterAgentRequest(agent_id=AGENT))


def ask_agents(resource_type, *resource_ids):
    resources = [
        m.ProtectableAgentStatusResource(resource_id=resource_id, resource_type=resource_type)
        for resource_id in resource_ids
    ]
    return m.CheckAgentRequest(body=m.ProtectableAgentReq(agent_status=resources))


@refused(400, INVALID, lambda stage: ask_agents("OS::Dream", stage.server_id))
def check_agent(stage):
    answer = stage.client.check_agent(ask_agents(SERVER, stage.server_id))
    status = one(answer.agent_status, "answers about agents")
    equal((status.resource_id, status.installed), (stage.server_id, False), "the agent of a server without one")

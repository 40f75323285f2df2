"""Policies, their application to vaults, and the policies that an administrator gives to all projects."""

from huaweicloudsdkcbr.v1 import model as m

from common import check, equal, one, wait_for

from .case import INVALID, UNKNOWN_POLICY, refused
from .stage import NOWHERE

NIGHTLY = "FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00"


def trigger(pattern):
    return m.PolicyTriggerReq(properties=m.PolicyTriggerPropertiesReq(pattern=[pattern]))


def new_policy(pattern):
    policy = m.PolicyCreate(
        name="nightly",
        enabled=True,
        operation_type="backup",
        operation_definition=m.PolicyoODCreate(max_backups=7),
        trigger=trigger(pattern),
    )
    return m.CreatePolicyRequest(body=m.PolicyCreateReq(policy=policy))


@refused(400, INVALID, lambda stage: new_policy("FREQ=HOURLY"))
def create_policy(stage):
    stage.made.policy = stage.client.create_policy(new_policy(NIGHTLY)).policy
    equal(stage.made.policy.trigger.properties.pattern, [NIGHTLY], "the new policy's pattern")


@refused(404, UNKNOWN_POLICY, lambda stage: m.ShowPolicyRequest(policy_id=NOWHERE))
def show_policy(stage):
    shown = stage.client.show_policy(m.ShowPolicyRequest(policy_id=stage.made.policy.id)).policy
    equal((shown.name, shown.operation_definition.max_backups), ("nightly", 7), "the policy")


def change_policy(policy_id, **change):
    body = m.PolicyUpdateReq(policy=m.PolicyUpdate(**change))
    return m.UpdatePolicyRequest(policy_id=policy_id, body=body)


@refused(404, UNKNOWN_POLICY, lambda stage: change_policy(NOWHERE, enabled=False))
def update_policy(stage):
    definition = m.PolicyoODCreate(retention_duration_days=20)
    changed = stage.client.update_policy(change_policy(stage.made.policy.id, operation_definition=definition)).policy
    rules = changed.operation_definition
    equal((rules.max_backups, rules.retention_duration_days), (None, 20), "the rules, replaced as a whole")


def apply(vault_id, policy_id):
    return m.AssociateVaultPolicyRequest(vault_id=vault_id, body=m.VaultAssociate(policy_id=policy_id))


@refused(404, UNKNOWN_POLICY, lambda stage: apply(stage.made.vault.id, NOWHERE))
def associate_vault_policy(stage):
    answer = stage.client.associate_vault_policy(apply(stage.made.vault.id, stage.made.policy.id))
    applied = answer.associate_policy
    equal((applied.vault_id, applied.policy_id), (stage.made.vault.id, stage.made.policy.id), "what was applied")


@refused(400, INVALID, lambda stage: m.ListPoliciesRequest(operation_type="dream"))
def list_policies(stage):
    of_vault = m.ListPoliciesRequest(vault_id=stage.made.vault.id)
    policy = one(stage.client.list_policies(of_vault).policies, "policies of the vault")
    vault = one(policy.associated_vaults, "vaults of the policy")
    equal((policy.id, vault.vault_id), (stage.made.policy.id, stage.made.vault.id), "the vault's policy")


def take_off(stage):
    body = m.VaultDissociate(policy_id=stage.made.policy.id)
    return m.DisassociateVaultPolicyRequest(vault_id=stage.made.vault.id, body=body)


@refused(404, "BackupService.6002", take_off)
def disassociate_vault_policy(stage):
    answer = stage.client.disassociate_vault_policy(take_off(stage))
    equal(answer.dissociate_policy.policy_id, stage.made.policy.id, "the policy that was taken off")


@refused(404, UNKNOWN_POLICY, lambda stage: m.DeletePolicyRequest(policy_id=stage.made.policy.id))
def delete_policy(stage):
    stage.client.delete_policy(m.DeletePolicyRequest(policy_id=stage.made.policy.id))


def new_organization_policy(pattern):
    policy = m.OrganizationPolicyCreate(
        name="for-all",
        description="d",
        operation_type="backup",
        policy_name="from-above",
        policy_enabled=True,
        policy_operation_definition=m.PolicyoODCreate(max_backups=3),
        policy_trigger=trigger(pattern),
    )
    return m.CreateOrganizationPolicyRequest(body=m.OrganizationPolicyCreateReq(policy=policy))


@refused(400, INVALID, lambda stage: new_organization_policy("FREQ=HOURLY"))
def create_organization_policy(stage):
    made = stage.client.create_organization_policy(new_organization_policy(NIGHTLY)).policy
    stage.made.organization_policy = made
    equal((made.name, made.policy_name), ("for-all", "from-above"), "the new organization policy")


def of_organization(request, stage):
    return request(organization_policy_id=stage.made.organization_policy.id)


@refused(404, UNKNOWN_POLICY, lambda stage: m.ShowOrganizationPolicyRequest(organization_policy_id=NOWHERE))
def show_organization_policy(stage):
    def is_available():
        shown = stage.client.show_organization_policy(of_organization(m.ShowOrganizationPolicyRequest, stage)).policy
        check(shown.status != "error", "the organization policy reaches all projects")
        return shown if shown.status == "available" else None

    wait_for("the organization policy is available", is_available)


@refused(404, UNKNOWN_POLICY, lambda stage: m.ListOrganizationPolicyDetailRequest(organization_policy_id=NOWHERE))
def list_organization_policy_detail(stage):
    request = of_organization(m.ListOrganizationPolicyDetailRequest, stage)
    projects = [detail.project_id for detail in stage.client.list_organization_policy_detail(request).policies]
    wanted = [stage.account["project_id"], stage.tenant["project_id"]]
    equal(sorted(projects), sorted(wanted), "the projects that have the policy")


@refused(400, INVALID, lambda stage: m.ListOrganizationPoliciesRequest(operation_type="dream"))
def list_organization_policies(stage):
    listed = stage.client.list_organization_policies(m.ListOrganizationPoliciesRequest(operation_type="backup"))
    equal(one(listed.policies, "organization policies").name, "for-all", "the organization policy's name")


def change_organization_policy(policy_id):
    body = m.OrganizationPolicyUpdateReq(policy=m.OrganizationPolicyUpdate(name="for-everyone"))
    return m.UpdateOrganizationPolicyRequest(organization_policy_id=policy_id, body=body)


@refused(404, UNKNOWN_POLICY, lambda stage: change_organization_policy(NOWHERE))
def update_organization_policy(stage):
    request = change_organization_policy(stage.made.organization_policy.id)
    equal(stage.client.update_organization_policy(request).policy.name, "for-everyone", "the new name")


@refused(404, UNKNOWN_POLICY, lambda stage: m.DeleteOrganizationPolicyRequest(organization_policy_id=NOWHERE))
def delete_organization_policy(stage):
    stage.client.delete_organization_policy(of_organization(m.DeleteOrganizationPolicyRequest, stage))
    shown = of_organization(m.ShowOrganizationPolicyRequest, stage)
    stage.wait_until_gone(stage.client.show_organization_policy, shown)

"""A backup is offered to another project, which accepts it."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal, one

from .case import UNKNOWN_BACKUP, refused
from .stage import NOWHERE, new_vault

UNKNOWN_MEMBER = "BackupService.6705"


def offer(stage):
    body = m.AddMembersReq(members=[stage.tenant["project_id"]])
    return m.AddMemberRequest(backup_id=stage.made.backup.id, body=body)


@refused(400, "BackupService.6703", offer)
def add_member(stage):
    member = one(stage.client.add_member(offer(stage)).members, "new members")
    equal((member.dest_project_id, member.status), (stage.tenant["project_id"], "pending"), "the new member")


@refused(404, UNKNOWN_BACKUP, lambda stage: m.ShowMembersDetailRequest(backup_id=NOWHERE))
def show_members_detail(stage):
    answer = stage.client.show_members_detail(m.ShowMembersDetailRequest(backup_id=stage.made.backup.id))
    equal((answer.count, one(answer.members, "members").backup_id), (1, stage.made.backup.id), "the members")


def member(request, stage, project_id, **more):
    return request(backup_id=stage.made.backup.id, member_id=project_id, **more)


@refused(404, UNKNOWN_MEMBER, lambda stage: member(m.ShowMemberDetailRequest, stage, NOWHERE.replace("-", "")))
def show_member_detail(stage):
    request = member(m.ShowMemberDetailRequest, stage, stage.tenant["project_id"])
    equal(stage.client.show_member_detail(request).member.status, "pending", "the member's status")


def answer_offer(stage, **answer):
    return member(m.UpdateMemberStatusRequest, stage, stage.tenant["project_id"], body=m.UpdateMember(**answer))


@refused(400, "BackupService.6708", lambda stage: answer_offer(stage, status="rejected"))
def update_member_status(stage):
    vault = new_vault(stage.receiver, "received")
    request = answer_offer(stage, status="accepted", vault_id=vault.id)
    accepted = stage.receiver.update_member_status(request).member
    equal((accepted.status, accepted.vault_id), ("accepted", vault.id), "the accepted offer")
    shown = stage.receiver.show_backup(m.ShowBackupRequest(backup_id=stage.made.backup.id)).backup
    equal((shown.vault_id, shown.project_id), (vault.id, stage.account["project_id"]), "vault and project, received")


@refused(404, UNKNOWN_MEMBER, lambda stage: member(m.DeleteMemberRequest, stage, stage.tenant["project_id"]))
def delete_member(stage):
    stage.client.delete_member(member(m.DeleteMemberRequest, stage, stage.tenant["project_id"]))
    stage.wait_until_gone(stage.receiver.show_backup, m.ShowBackupRequest(backup_id=stage.made.backup.id))

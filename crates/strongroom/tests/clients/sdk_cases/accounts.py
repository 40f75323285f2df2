"""Features, accounts and projects."""

from huaweicloudsdkcbr.v1 import model as m

from common import check, equal

from .case import INVALID, forbidden_to_strangers, refused, wrong_signature
from .stage import NOWHERE


@forbidden_to_strangers(lambda stage: m.ListFeaturesRequest())
def list_features(stage):
    features = stage.client.list_features(m.ListFeaturesRequest()).to_json_object()
    check("replication.enable" in str(features), f"the features tell about replication: {features}")


@refused(400, INVALID, lambda stage: m.ShowFeatureRequest(feature_key="levitation"))
def show_feature(stage):
    answer = stage.client.show_feature(m.ShowFeatureRequest(feature_key="replication.enable"))
    check("replication.enable" in str(answer.to_json_object()), "the feature that was asked for")


@wrong_signature(lambda stage: m.ListProjectsRequest())
def list_projects(stage):
    projects = stage.client.list_projects(m.ListProjectsRequest()).projects
    check(stage.account["project_id"] in [project.id for project in projects], "the own project is in the list")


@wrong_signature(lambda stage: m.ListDomainProjectsRequest(domain_name="default"))
def list_domain_projects(stage):
    request = m.ListDomainProjectsRequest(domain_name=stage.account["domain_name"])
    projects = stage.client.list_domain_projects(request).projects
    check(stage.account["project_id"] in [project.project_id for project in projects], "the account's projects")


@refused(403, "APIGW.0302", lambda stage: m.ShowDomainRequest(source_project_id=NOWHERE.replace("-", "")))
def show_domain(stage):
    shown = stage.client.show_domain(m.ShowDomainRequest(source_project_id=stage.account["project_id"]))
    equal((shown.domain_id, shown.project_name), (stage.account["domain_id"], stage.account["project_name"]), "the project's account")


def migrate(reservation):
    return m.MigrateDomainRequest(body=m.DomainMigrate(all_regions=False, reservation=reservation))


@refused(400, INVALID, lambda stage: migrate(2.0))
def migrate_domain(stage):
    stage.client.migrate_domain(migrate(0.2))


@wrong_signature(lambda stage: m.ShowMigrateStatusRequest())
def show_migrate_status(stage):
    status = stage.client.show_migrate_status(m.ShowMigrateStatusRequest())
    equal((status.status, status.project_status), ("success", []), "a migration of nothing")

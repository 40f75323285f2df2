"""Copies in other regions."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal

from .case import forbidden_to_strangers, refused
from .stage import NOWHERE


@forbidden_to_strangers(lambda stage: m.ShowReplicationCapabilitiesRequest())
def show_replication_capabilities(stage):
    answer = stage.client.show_replication_capabilities(m.ShowReplicationCapabilitiesRequest())
    equal(answer.regions, [], "the regions that this one can copy to")

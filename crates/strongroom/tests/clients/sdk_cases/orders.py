"""Vaults for a term, which are orders here and cost nothing."""

from huaweicloudsdkcbr.v1 import model as m

from common import equal, one

from .case import INVALID, UNKNOWN_VAULT, refused
from .stage import NOWHERE

SPEC = "vault.backup.server.normal"


def order_vault(period_num):
    billing = m.PrePaidBillingCreate(
        cloud_type="public",
        consistent_level="crash_consistent",
        object_type="server",
        protect_type="backup",
        size=100,
        charging_mode="pre_paid",
        period_type="month",
        period_num=period_num,
        is_auto_renew=False,
        is_auto_pay=True,
    )
    vault = m.PrePaidVaultOrder(name="ordered", resources=[], billing=billing)
    return m.CreatePostPaidVaultRequest(body=m.VaultOrderCreateReqs(vault=vault))


@refused(400, INVALID, lambda stage: order_vault(0))
def create_post_paid_vault(stage):
    answer = stage.client.create_post_paid_vault(order_vault(1))
    order = one(answer.orders, "orders")
    equal(stage.show_vault(order.resource_id).billing.charging_mode, "pre_paid", "the charging_mode")
    stage.made.order = order


def change_size(vault_id):
    product = m.CbcProductInfoOrderChange(product_id="p", resource_size=300, resource_spec_code=SPEC)
    body = m.CbcOrderChange(product_info=product, resource_id=vault_id, is_auto_pay=True)
    return m.ChangeOrderRequest(body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: change_size(NOWHERE))
def change_order(stage):
    answer = stage.client.change_order(change_size(stage.made.order.resource_id))
    equal((answer.ret_code, bool(answer.order_id)), (0, True), "the order of a larger size")
    equal(stage.show_vault(stage.made.order.resource_id).billing.size, 300, "the larger size")
    stage.made.change = answer.order_id


def apply_order(order_id, vault_id):
    product = m.CbcProductInfoUpdate(product_id="p", resource_size=300, resource_spec_code=SPEC)
    body = m.CbcUpdate(product_info=product, resource_id=vault_id)
    return m.UpdateOrderRequest(order_id=order_id, body=body)


@refused(400, "BackupService.6109", lambda stage: apply_order(NOWHERE, stage.made.order.resource_id))
def update_order(stage):
    answer = stage.client.update_order(apply_order(stage.made.change, stage.made.order.resource_id))
    equal(answer.ret_code, "0", "the code, which is a text here")


def change_charge_mode(vault_id):
    body = m.ChangeToPeriod(
        vault_ids=[vault_id],
        charging_mode="pre_paid",
        period_type="year",
        period_num=1,
        is_auto_renew=False,
        is_auto_pay=True,
    )
    return m.ChangeVaultChargeModeRequest(body=body)


@refused(404, UNKNOWN_VAULT, lambda stage: change_charge_mode(NOWHERE))
def change_vault_charge_mode(stage):
    answer = stage.client.change_vault_charge_mode(change_charge_mode(stage.made.empty.id))
    equal((answer.ret_code, bool(answer.order_id)), (0, True), "the order of a term")
    equal(stage.show_vault(stage.made.empty.id).billing.charging_mode, "pre_paid", "the charging_mode")

"""The official Python SDK without a project id: it looks the project up by the region's name, then lists vaults."""

from huaweicloudsdkcbr.v1 import model as m
from huaweicloudsdkcbr.v1.cbr_client import CbrClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.region.region import Region

from common import arguments, equal, main, say


def walk():
    account = arguments(__doc__).credentials
    keys = BasicCredentials(account["access_key"], account["secret_key"])
    keys.with_iam_endpoint(account["endpoint"])
    region = Region(account["region"], account["endpoint"])
    client = CbrClient.new_builder().with_credentials(keys).with_region(region).build()
    answer = client.list_vault(m.ListVaultRequest(limit=10))
    equal(answer.status_code, 200, "the status of the list")
    say(f"region {account['region']} has {answer.count} vaults")


if __name__ == "__main__":
    main(walk)

"""Plain HTTP with a token, for what no client has a call for: Strongroom's own paths."""

import json
import urllib.error
import urllib.request

from common import check, equal


class Rest:
    """One user, signed in for one project."""

    def __init__(self, account):
        self.root = account["endpoint"]
        user = {
            "name": account["user_name"],
            "password": account["password"],
            "domain": {"name": account["domain_name"]},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity, "scope": {"project": {"id": account["project_id"]}}}
        self.token = None
        status, headers, _ = self.send("POST", "/v3/auth/tokens", {"auth": auth})
        equal(status, 201, "the status of a new token")
        self.token = headers["X-Subject-Token"]

    def send(self, method, path, body=None):
        """Status, headers and JSON of the answer, whatever the status is; no body is None."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        request = urllib.request.Request(self.root + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, headers, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, headers, text = error.code, error.headers, error.read()
        return status, headers, json.loads(text) if text else None

    def call(self, method, path, body=None):
        """The answer of a call that has to succeed."""
        status, _, answer = self.send(method, path, body)
        check(200 <= status < 300, f"{method} {path} succeeds, it answers {status}: {answer}")
        return answer


def new_tenant(account, name):
    """Another project with a user of its own, as the account of that user."""
    administrator = Rest(account)
    project = administrator.call("POST", "/strongroom/v1/projects", {"name": name})["project"]
    password = f"{name}-has-a-password"
    body = {"name": name, "password": password, "project_id": project["id"], "role": "operator"}
    user = administrator.call("POST", "/strongroom/v1/users", body)["user"]
    key = administrator.call("POST", f"/strongroom/v1/users/{user['id']}/access-keys", {})["access_key"]
    return {
        **account,
        "project_id": project["id"],
        "project_name": project["name"],
        "user_id": user["id"],
        "user_name": name,
        "password": password,
        "access_key": key["access_key"],
        "secret_key": key["secret_key"],
    }

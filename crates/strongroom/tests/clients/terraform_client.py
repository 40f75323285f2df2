"""HTTP as the Go libraries below Terraform's providers speak it: signed, and with a list of statuses for each call."""

import http.client
import json
from urllib.parse import urlsplit

from common import check, equal, one
from signing import sign, sign_with_scope


class Client:
    """golangsdk, with an access key. Any status that a call does not expect is an error."""

    user_agent = "terraform-provider-iac golangsdk/2.0.0"
    #: What creates and changes may answer, apart from policies: those must be 200 everywhere.
    changed = (200, 201, 202)
    sign = staticmethod(sign)

    def __init__(self, account):
        self.account = account
        self.project_id = account["project_id"]

    def configure(self):
        """The provider looks project and domain up, each twice."""
        for _ in range(2):
            found = self.request_at(f"/v3/projects?name={self.account['region']}", "GET", expected=(200,))
            equal(one(found["projects"], "projects of the region")["id"], self.project_id, "the project's id")
            domains = self.request_at("/v3/auth/domains", "GET", expected=(200,))["domains"]
            check(self.account["domain_id"] in [domain["id"] for domain in domains], "the domain is in the list")

    def get(self, path):
        return self.request("GET", path, expected=(200,))

    def post(self, path, body):
        return self.request("POST", path, body, expected=(200,) if path == "/policies" else self.changed)

    def put(self, path, body):
        return self.request("PUT", path, body, expected=(200,) if path.startswith("/policies") else self.changed)

    def request(self, method, path, body=None, expected=(200,)):
        return self.request_at(f"/v3/{self.project_id}{path}", method, body, expected)

    def request_at(self, path, method, body=None, expected=(200,)):
        """The answer's JSON; None where there is no body, which is an error at 200."""
        url = self.account["endpoint"] + path
        data = b"" if body is None else json.dumps(body, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        headers = {"accept": "application/json", "user-agent": self.user_agent}
        if data:
            headers["content-type"] = "application/json"
        self.sign(self.account, method, url, headers, data)
        headers["x-project-id"] = self.project_id  # after signing, as the libraries do
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        connection.request(method, path, body=data or None, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        check(answer.status in expected, f"{method} {path} answers one of {expected}, not {answer.status}: {text}")
        check(text or answer.status != 200, f"{method} {path} has a body: an empty one does not decode")
        return json.loads(text) if text else None


class GopherClient(Client):
    """gophertelekomcloud: another signature, and 200 alone is good for most calls."""

    user_agent = "golangsdk/2.0.0"
    changed = (200,)
    sign = staticmethod(sign_with_scope)

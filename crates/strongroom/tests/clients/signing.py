"""Request signatures as the two Go libraries below Terraform's providers make them, written from their description.

Both sign a canonical request: method, path with a slash at its end, sorted query, the signed headers, the body's hash.
They differ in which headers are signed, and in whether the key is derived from a scope of date, region and service.
"""

import datetime
import hashlib
import hmac
from urllib.parse import parse_qsl, quote, urlsplit

ALGORITHM = "SDK-HMAC-SHA256"


def canonical_request(method, url, headers, signed, body):
    parts = urlsplit(url)
    path = quote(parts.path, safe="/-_.~")
    path = path if path.endswith("/") else path + "/"
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in pairs)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    return "\n".join([method, path, query, lines, ";".join(signed), hashlib.sha256(body).hexdigest()])


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def sign(key, method, url, headers, body):
    """As golangsdk does (provider huaweicloud): the host is not signed, the key is the secret itself."""
    headers["x-sdk-date"] = now()
    signed = sorted(name for name in headers if name in ("accept", "content-type", "user-agent", "x-sdk-date"))
    request = canonical_request(method, url, headers, signed, body)
    text = "\n".join([ALGORITHM, headers["x-sdk-date"], hashlib.sha256(request.encode()).hexdigest()])
    signature = mac(key["secret_key"].encode(), text).hexdigest()
    access = f"Access={key['access_key']}"
    headers["authorization"] = f"{ALGORITHM} {access}, SignedHeaders={';'.join(signed)}, Signature={signature}"


def sign_with_scope(key, method, url, headers, body):
    """As gophertelekomcloud does (provider opentelekomcloud): the host is signed, the scope names only the day."""
    headers["x-sdk-date"] = now()
    headers["host"] = urlsplit(url).netloc
    signed = sorted(name for name in headers if name in ("accept", "content-type", "host", "user-agent", "x-sdk-date"))
    request = canonical_request(method, url, headers, signed, body)
    day = headers["x-sdk-date"][:8]
    scope = f"{day}///sdk_request"
    text = "\n".join([ALGORITHM, headers["x-sdk-date"], scope, hashlib.sha256(request.encode()).hexdigest()])
    derived = ("SDK" + key["secret_key"]).encode()
    for part in (day, "", "", "sdk_request"):
        derived = mac(derived, part).digest()
    signature = mac(derived, text).hexdigest()
    credential = f"Credential={key['access_key']}/{scope}"
    headers["authorization"] = f"{ALGORITHM} {credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"

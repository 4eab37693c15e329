"""Says by its exit code whether both signatures of a request are those of the documented schemes, with nothing but the
standard library: {"secret", "headers", "body"} as JSON on standard input."""

import base64, hashlib, hmac, json, sys

request = json.load(sys.stdin)
secret, headers, body = request["secret"], request["headers"], request["body"]

signed = f"{headers['x-pulse-timestamp']}.{body}".encode()
pulse = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()

signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
standard = "v1," + base64.b64encode(hmac.digest(base64.b64decode(secret), signed, "sha256")).decode()

if not hmac.compare_digest(pulse, headers["x-pulse-signature"]):
    sys.exit("refused: X-Pulse-Signature")
if standard not in headers["webhook-signature"].split(" "):
    sys.exit("refused: webhook-signature")

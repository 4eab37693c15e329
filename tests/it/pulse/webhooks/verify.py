"""Says by its exit code whether the package `standardwebhooks` accepts a request: {"secret", "headers", "body"} as JSON on
standard input."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

request = json.load(sys.stdin)
try:
    Webhook(request["secret"]).verify(request["body"], request["headers"])
except WebhookVerificationError as error:
    sys.exit(f"refused: {error}")

"""The two signatures that Payproof makes with the `whsec_…` secret."""

import base64
import hmac
import re
import time

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

TOLERANCE = 300  # seconds
SHORTEST_KEY = 24  # bytes


def is_from_payproof(headers, body):
    """Whether Payproof sent these bytes, within five minutes (Standard Webhooks 1.0)."""
    event, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", sent_at) or abs(time.time() - int(sent_at)) > TOLERANCE:
        return False
    digest = hmac.digest(_key(), f"{event}.{sent_at}.".encode("latin-1", "replace") + body, "sha256")
    given = headers.get("webhook-signature", "").encode("latin-1", "replace").split()
    return any(hmac.compare_digest(b"v1," + base64.b64encode(digest), one) for one in given)


def returned_status(query, references):
    """The status that the browser came back with; None unless Payproof wrote it about one of these references."""
    text = ".".join(["payproof-return", *(query.get(name, "") for name in ("payment_id", "reference", "status"))])
    right = hmac.digest(_key(), text.encode(), "sha256").hex().encode()
    if not hmac.compare_digest(right, query.get("signature", "").encode()):
        return None
    if not re.fullmatch("pay_[0-9a-z]{26}", query["payment_id"]):  # no other place for the dots between the three
        return None
    return query["status"] if query["reference"] in references else None


def _key():
    """The bytes that sign. Anyone can sign with an empty key, so a short one is an error."""
    key = base64.b64decode(settings.PAYPROOF_WEBHOOK_SECRET.removeprefix("whsec_"))
    if len(key) < SHORTEST_KEY:
        raise ImproperlyConfigured("PAYPROOF_WEBHOOK_SECRET is no whsec_ secret")
    return key

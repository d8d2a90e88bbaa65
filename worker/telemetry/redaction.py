"""A callback as a person may see it: where each field stood and how long it was.

Any field of a callback may be personal. So every value is hidden, except null, true and false, two harmless headers,
and values that the claim holds as ids, which the timeline shows too.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from consumers.providers.kit.callback_fields import body_fields
from schemas.callbacks import Callback, Claim
from schemas.wire import Spoilt, Unreadable, read_json

HARMLESS_HEADERS = frozenset({"content-type", "content-length"})
EXPECTED_IDS = ("merchant", "account", "reference", "session_id", "order")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}", re.ASCII)


def masked_callback(callback: Callback, claim: Claim) -> dict[str, Any]:
    """The callback of a claim, masked, ready to be written as JSON."""
    ids = (claim.payment_id, claim.session_id, claim.reference, claim.transaction_id, claim.event_id, claim.event_type)
    shown = {one for one in ids if one}
    try:
        fields = _masked(body_fields(callback), shown)
    except Unreadable as error:
        fields = f"*** ({error})"
    return {
        "source": callback.source,
        "account": callback.account,
        "method": callback.method,
        "received_at": callback.received_at,
        "query": [[_name(key), _masked(value, shown)] for key, value in callback.query],
        "headers": [
            [_name(key), value if key in HARMLESS_HEADERS else _masked(value, shown)] for key, value in callback.headers
        ],
        "body": {"bytes": len(callback.body), "fields": fields},
        "omitted": callback.omitted,
    }


def masked_body(body: bytes) -> Any:
    """The body of a letter without a readable claim, masked; no id is known in it."""
    try:
        return _masked(read_json(body), ())
    except Unreadable as error:
        return f"*** ({len(body)} bytes, {error})"


def masked_expected(body: bytes) -> Any:
    """The message of a shop, masked except for the ids by which the shop knows the payment."""
    try:
        read = read_json(body)
    except Unreadable:
        return masked_body(body)
    ids = {read[name] for name in EXPECTED_IDS if isinstance(read.get(name), str)} if isinstance(read, dict) else ()
    return _masked(read, ids)


def _masked(value: Any, shown: Collection[str]) -> Any:
    match value:
        case None | bool():
            return value
        case dict():
            return {_name(key): _masked(item, shown) for key, item in value.items()}
        case list():
            return [_masked(item, shown) for item in value]
        case Spoilt():
            return f"*** ({value.why})"
    return str(value) if str(value) in shown else f"*** ({len(str(value))} characters)"


def _name(key: str) -> str:
    """A field's name, or `***` where it may itself be a value."""
    return key if _NAME.fullmatch(key) else "***"

"""The closed sets of values that labels of `worker.telemetry.metrics` have, where no enumeration of ours holds them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from schemas.answers import Trouble
from schemas.words import Authenticity, Source, Status

NOT_SENT = "not_sent"
"""The outcome under which a question that was not sent is counted."""

OUTCOMES = (*(status.value for status in Status), "unmapped", "stranger", NOT_SENT, *(one.value for one in Trouble))
DELIVERED = ("delivered", "failed", "given_up", "disabled")
EXPECTED_RESULTS = ("registered", "known", "refused")
LISTENERS = ("public", "operators")
CONNECTION_REFUSALS = ("full", "evicted", "slow", "large")
UNPROVEN = "unproven"
"""The authenticity of a callback without a proven sender: forged, unreadable, or not looked at."""


def callback_labels(*, signs: bool) -> Iterator[tuple[str, str, str]]:
    """The kinds, authenticities and results that a callback can have together."""
    for source in (Source.WEBHOOK, Source.IPN, Source.RETURN) if signs else (Source.IPN, Source.RETURN):
        signed = [Authenticity.SIGNED] if source is Source.WEBHOOK else []
        for authenticity, result in product([*signed, Authenticity.UNSIGNED], ("taken", "unavailable")):
            yield source.value, authenticity.value, result
        for result in ("repeated", "unknown"):
            yield source.value, Authenticity.UNSIGNED.value, result
        unproven = ("forged", "unreadable", "limited", *(("unavailable",) if source is Source.WEBHOOK else ()))
        for result in unproven:
            yield source.value, UNPROVEN, result

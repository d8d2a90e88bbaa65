"""The result of a program, in words without random values and times, and where two programs differ.

Times, random ids and this run's addresses are replaced by names of what they stand for; everything else is compared.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from itertools import groupby
from typing import Any

from msgspec import Struct

from tests.compare.acts import Act, reference
from tests.compare.playing import Player

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_SIGNATURE = re.compile(r"signature=[0-9a-f]{64}")
_TOOK = frozenset({"seconds", "milliseconds"})
_RANDOM = frozenset({"claim_id", "endpoint"})
"""Random values: the id of the claim, and the address at which the endpoint listens."""


class Came(Struct, frozen=True, kw_only=True):
    """All that one program shows of one payment; each part is lines of text.

    Deliveries to the shop are apart from the rest of the timeline, since they come in between at their own time. Claims
    that came together, as those of a payment that is registered late do, are in the order of their text. `calls` are
    those that the gateway received.
    """

    payment: Sequence[str]
    events: Sequence[str]
    timeline: Sequence[str]
    deliveries: Sequence[str]
    calls: Sequence[str]


class End(Struct, frozen=True, kw_only=True):
    """The result of one program: each payment by account and reference, and the answer to each act."""

    payments: Mapping[str, Came]
    answers: Sequence[str]


class Difference(Struct, frozen=True, kw_only=True):
    """`what` is the part that differs, `who` the payment, `lines` how: `-` before, `+` after."""

    who: str
    what: str
    lines: Sequence[str]

    def __str__(self) -> str:
        return "\n".join([f"{self.who}, {self.what}:", *(f"    {line}" for line in self.lines)])


async def end_of(player: Player) -> End:
    known, told = await player.known(), await player.told()
    names = {one["payment_id"]: f"<{one['account']}/{one['reference']}>" for one in known}
    system = player.system
    names |= {system.url: "<payproof>", system.sandbox_url: "<gateways>", system.sandbox_url[7:]: "<gateways>"}
    came = {}
    for one in known:
        calls = await player.control.get("calls", provider=one["provider"], reference=one["reference"])
        entries = await player.shop.timeline(one["payment_id"])
        came[names[one["payment_id"]]] = Came(
            payment=_lines([one], names),
            events=_lines([json.loads(event.raw) for event in told.get(one["payment_id"], [])], names),
            timeline=in_order(_lines([entry for entry in entries if entry["kind"] != "delivery"], names)),
            deliveries=_lines([entry for entry in entries if entry["kind"] == "delivery"], names),
            calls=[f"{kind}: {n}" for kind, n in calls["by"].items()],
        )
    return End(payments=came, answers=[_named(one, names) for one in player.answers])


def differences(before: End, after: End) -> Iterator[Difference]:
    """All differences, payment by payment."""
    for who in sorted(before.payments.keys() | after.payments.keys()):
        one, other = before.payments.get(who), after.payments.get(who)
        if one is None or other is None:
            yield Difference(who=who, what="known", lines=[f"only to the one {'before' if other is None else 'after'}"])
            continue
        for part in Came.__struct_fields__:
            if lines := _differ(getattr(one, part), getattr(other, part)):
                yield Difference(who=who, what=part, lines=lines)
    if lines := _differ(before.answers, after.answers):
        yield Difference(who="answers", what="what acts were answered", lines=lines)


def in_order(timeline: Sequence[str]) -> list[str]:
    """The entries; consecutive claims are sorted."""
    runs = groupby(timeline, key=lambda entry: '"kind": "claim"' in entry)
    return [entry for claims, run in runs for entry in (sorted(run) if claims else run)]


def kinds_met(end: End) -> Mapping[str, Counter[str]]:
    """How often each kind of thing occurred; a kind that did not occur was not compared."""
    met: Mapping[str, Counter[str]] = {name: Counter() for name in ("ended as", "held as", "told", "claims", "answers")}
    for came in end.payments.values():
        (payment,) = map(json.loads, came.payment)
        met["ended as"][payment["status"]] += 1
        met["held as"][str(payment["hold"])] += 1
        met["told"].update(event["type"] for event in map(json.loads, came.events))
        for entry in map(json.loads, came.timeline):
            if entry["kind"] == "claim":
                met["claims"][entry["verdict"]] += 1
            elif entry["kind"] == "answer":
                words = (entry.get(name) for name in ("execute", "inconclusive", "status", "refused"))
                met["answers"][" ".join(str(word) for word in words if word is not None)] += 1
    return met


def about(acts: Sequence[Act], who: str) -> list[str]:
    """The acts about a payment, in order."""
    return [str(act) for act in acts if f"/{reference(act.n)}>" in who]


def _differ(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return list(unified_diff(one, other, lineterm="", n=1))[2:]


def _lines(documents: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    return [_named(json.dumps(_timeless(one), sort_keys=True, ensure_ascii=False), names) for one in documents]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in _TOOK}
        return {name: f"<{name}>" if name in _RANDOM else _timeless(one) for name, one in kept.items()}
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    return _TIME.sub("<time>", value) if isinstance(value, str) else value


def _named(text: str, names: Mapping[str, str]) -> str:
    for found, name in names.items():
        text = text.replace(found, name)
    return _SIGNATURE.sub("signature=<signature>", text)

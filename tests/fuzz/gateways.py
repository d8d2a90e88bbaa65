"""Every gateway's readers of strangers' bytes: callbacks, and its replies to us. Mutations start from its fixtures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from consumers.ports.effects import HttpReply, Token
from consumers.ports.gateway import CertificateWanted, Forged, Signed, Unsigned
from consumers.providers import PROVIDERS
from schemas.answers import Inconclusive
from schemas.callbacks import CallbackContent
from schemas.wire import Unreadable
from tests.fuzz.mutating import STATUSES, Dice
from tests.fuzz.parser import Parser
from tests.unit.test_providers import assert_sound, begun, driven, fixture, http, is_sound, of_case
from tests.unit.test_providers import provider as made_for
from worker.ingress.read_callback import _storable

REPLY_HEADERS = ("retry-after", "content-type", "location")

provider = cache(made_for)
Pairs = tuple[tuple[str, str], ...]


def gateways() -> list[Parser]:
    return [parser for name in PROVIDERS for parser in (callbacks(name), replies(name))]


def of_gateway(name: str, *kinds: str) -> list[Path]:
    return [path for path in of_case(*kinds) if path.parent.name == name]


def callbacks(name: str) -> Parser:
    """Authenticate and read a callback. A mutated callback is signed with no valid secret."""
    paths = of_gateway(name, "authenticate", "read_claim")
    bases = [(provider(path), (fixture(path).authenticate or fixture(path).read_claim).callback()) for path in paths]

    def read(dice: Dice) -> None:
        gateway, base = dice.one_of(bases)
        body = dice.changed(base.body)
        callback = replace(base, body=body, query=_altered(base.query, dice), headers=_altered(base.headers, dice))
        judged = gateway.authenticate(callback)
        if isinstance(judged, CertificateWanted):
            judged = judged.check(body)
        assert isinstance(judged, Signed | Unsigned | Forged)
        assert not isinstance(judged, Signed) or body == base.body, "only signed bytes count as signed"
        try:
            reading = gateway.read_claim(callback)
        except Unreadable:
            return
        assert isinstance(reading, CallbackContent)
        for key, value in msgspec.structs.asdict(reading).items():
            assert is_sound(key, value), key

    return Parser(f"{name}: callbacks", read)


def replies(name: str) -> Parser:
    """Any reply to any request of any exchange ends in an outcome of the right kind, whose every part is valid."""
    paths = of_gateway(name, "open", "ask", "grant")
    said = {path: [step.reply.reply() for step in fixture(path).exchange or () if step.reply] for path in paths}

    def read(dice: Dice) -> None:
        path = dice.one_of(paths)
        replies = said[path] or [http(200, b"{}")]
        at = dice.below(len(replies))
        altered = [*replies[:at], _altered_reply(replies[at], dice), *replies[at + 1 :]]
        outcome, _ = driven(begun(fixture(path), provider(path)), lambda sent: altered[min(sent, len(altered) - 1)])
        if fixture(path).grant is not None:
            assert isinstance(outcome, Token | Inconclusive)
        else:
            assert_sound(path, outcome)

    return Parser(f"{name}: replies", read)


def _altered(pairs: Pairs, dice: Dice) -> Pairs:
    """Change one value, as it comes from aiohttp and is made storable; or add a value where there is none."""
    at = dice.below(len(pairs) + 1)
    key, value = pairs[at] if at < len(pairs) else ("status", "")
    return (*pairs[:at], (key, _storable(dice.text(value))), *pairs[at + 1 :])


def _altered_reply(reply: HttpReply, dice: Dice) -> HttpReply:
    body, headers = dice.changed(reply.body), dict(reply.headers)
    status = dice.one_of(STATUSES) if dice.below(4) == 3 else reply.status
    if dice.below(4) == 3:
        name = dice.one_of(REPLY_HEADERS)
        headers[name] = dice.text(headers.get(name, ""))
    return http(status, body, **headers)

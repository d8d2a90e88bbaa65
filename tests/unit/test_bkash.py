"""bKash and OnePayBD differ in paths, headers and the grant; under the same replies they conclude the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.ports.effects import HttpReply, HttpRequest
from consumers.providers.bkash import BKash
from consumers.providers.onepaybd import OnePayBD
from schemas.secret import Secret
from tests.unit.test_providers import begun, driven, fixture, http, name, of_case, plain, provider

SHARED = [path for path in of_case("open", "ask", "grant") if path.parent.name == "onepaybd"]
BKASH = BKash(
    base_url="https://tokenized.pay.bka.sh/v1.2.0-beta",
    app_key=Secret("app-key"),
    app_secret=Secret("app-secret"),
    username=Secret("merchant"),
    password=Secret("password"),
)
CALLS = {
    "/tokenized/checkout/token/grant",
    "/tokenized/checkout/create",
    "/tokenized/checkout/execute",
    "/tokenized/checkout/payment/status",
}


def told(path: Path) -> list[HttpReply | None]:
    """The replies of a fixture; None for silence."""
    steps = [step for step in fixture(path).exchange or () if step.request is not None]
    return [None if step.reply is None else step.reply.reply() for step in steps] or [http(200, b"{}")]


def sent(running: Any, replies: list[HttpReply | None]) -> list[HttpRequest]:
    """The requests that are sent before the exchange ends."""
    requests = list[HttpRequest]()

    def heard() -> Any:
        reply: Any = None
        while True:
            try:
                effect = running.send(reply)
            except StopIteration as stop:
                return stop.value
            if isinstance(effect, HttpRequest):
                requests.append(effect)
            reply = yield effect

    driven(heard(), lambda number: replies[min(number, len(replies) - 1)])
    return requests


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_the_same_replies_end_the_same(path: Path) -> None:
    case, replies, theirs = fixture(path), told(path), provider(path)
    assert isinstance(theirs, OnePayBD)
    ours = replace(BKASH, capture=theirs.capture)
    outcomes = [
        plain(driven(begun(case, gateway), lambda number: replies[min(number, len(replies) - 1)])[0])
        for gateway in (theirs, ours)
    ]
    assert outcomes[0] == outcomes[1]


def test_only_execute_takes_money_and_no_secret_stands_in_a_url() -> None:
    requests = [
        one for path in SHARED if None not in told(path) for one in sent(begun(fixture(path), BKASH), told(path))
    ]
    assert {one.url.removeprefix(BKASH.base_url) for one in requests} == CALLS
    for one in requests:
        assert one.takes_money == one.url.endswith("/execute")
        assert one.method == "POST"


def test_pending_after_the_end_proves_nothing_whoever_executes() -> None:
    for capture in (True, False):
        able = replace(BKASH, capture=capture).capabilities
        assert (able.executes, able.pending_expires) == (capture, False)


def test_a_checkout_lives_half_an_hour_unless_the_shop_wishes_otherwise() -> None:
    assert BKASH.lifetime(None).total_seconds() == 1800
    assert BKASH.lifetime(86_400).total_seconds() == 86_400

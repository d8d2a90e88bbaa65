"""The documents as the service serves them, read by third-party tools; its events are validated against them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.words import EventType
from tests.contract import check_event
from tests.e2e.buyers import Payproof
from tests.harness import SHADHINPAY, STORIES, System, play, staged
from tests.processes import running

TESTS = Path(__file__).parents[1]
PARSER_SECONDS = 60
KNOWN = {"asyncapi-latest-version"}
"""3.0 is intended: code generators rarely support the version that the parser calls the latest."""


@pytest.fixture(scope="module")
def playhouse() -> Iterator[System]:
    """An installation whose schedules end soon, as the stories need it."""
    with running() as system:
        yield system


def parsed(document: Any) -> Any:
    """The diagnostics of the AsyncAPI project's parser."""
    assert (TESTS / "node_modules/@asyncapi/parser").exists(), "deploy/dev test e2e installs the parser"
    ended = subprocess.run(
        ["node", str(TESTS / "asyncapi.mjs")],
        input=json.dumps(document).encode(),
        capture_output=True,
        timeout=PARSER_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout)


async def test_the_asyncapi_parser_accepts_the_document_without_a_warning(payproof: Payproof) -> None:
    document = (await payproof.call("GET", "/asyncapi.json")).json
    said = parsed(document)
    assert [one for one in said["diagnostics"] if one["code"] not in KNOWN] == []
    assert said["found"]["version"] == "3.0.0"
    assert {f"{kind}.{{merchant}}.{{account}}" for kind in EventType} <= set(said["found"]["channels"])
    assert len(said["found"]["sends"]) == len(EventType) + 1
    assert said["found"]["receives"] == ["receivePaymentExpected"]


@pytest.mark.parametrize("part", ["schema", "reference", "binding"])
async def test_the_parser_is_no_formality(payproof: Payproof, part: str) -> None:
    document = (await payproof.call("GET", "/asyncapi.json")).json
    match part:
        case "schema":
            document["components"]["schemas"]["PaymentView"]["properties"]["amount"]["type"] = "money"
        case "reference":
            document["operations"]["sendPaymentHeld"]["channel"]["$ref"] = "#/channels/none"
        case "binding":
            document["channels"]["paymentHeld"]["bindings"]["amqp"]["is"] = "topic"
    assert {one["code"] for one in parsed(document)["diagnostics"]} - KNOWN != set()


async def test_whatever_a_gateways_stories_tell_is_what_the_schema_says_and_nothing_more(playhouse: System) -> None:
    stories = [story for story in STORIES if story.gateway is SHADHINPAY]
    async with staged(playhouse) as stage:
        rows = await play(stories, stage, lambda _: None)
        told = list(stage.feed.all)
    assert {kind for row in rows for kind in row.told} == {kind for story in stories for kind in story.expects.told}
    for event in told:
        check_event(json.loads(event.raw))

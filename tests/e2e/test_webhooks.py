"""The deliveries in the timeline, once every event has a delivery that arrived."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from tests.commands import Ended
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof, payproof_says
from tests.processes import until
from worker.config.webhook_endpoints import endpoint_id

DAY = f"{datetime.now(UTC):%Y-%m-%d}T00:00:00+00:00"


def endpoint(payproof: Payproof) -> str:
    return endpoint_id("shop", f"{payproof.system.sandbox_url}/hooks/payproof")


async def says(payproof: Payproof, *words: str) -> Ended:
    ended = await payproof_says(payproof, "webhooks", *words)
    assert WEBHOOK_SECRET not in ended.out + ended.err
    return ended


async def delivered(payproof: Payproof, payment_id: str) -> list[dict[str, Any]]:
    """The timeline's deliveries, once there is one that was delivered for each event."""

    async def look() -> list[dict[str, Any]] | None:
        entries = await payproof.stage.shop.timeline(payment_id)
        told = {entry["id"] for entry in entries if entry["kind"] == "event"}
        found = [entry for entry in entries if entry["kind"] == "delivery"]
        arrived = {entry["event_id"] for entry in found if entry["result"] == "delivered"}
        return found if told and told <= arrived else None

    return await until(look, what=f"every event of {payment_id} is delivered")


async def test_the_shop_verifies_what_it_is_told_and_the_timeline_shows_it(payproof: Payproof) -> None:
    scene = await payproof.opened("ipay")
    (first,) = await delivered(payproof, scene.payment["payment_id"])
    assert (first["endpoint"], first["status"], first["type"]) == (endpoint(payproof), 204, "payment.opened")
    assert (first["attempt"], first["host"]) == (1, "127.0.0.1")
    told = await payproof_says(payproof, "explain", scene.payment["payment_id"])
    assert f"Sent payment.opened, version 1, to 127.0.0.1 ({endpoint(payproof)}); it answered 204" in told.out


async def test_list_shows_how_the_endpoint_does(payproof: Payproof) -> None:
    scene = await payproof.opened("ipay")
    await delivered(payproof, scene.payment["payment_id"])
    listed = await says(payproof, "list")
    assert listed.code == 0
    _, row = listed.lines
    assert row.startswith(f"{endpoint(payproof)}  shop")
    assert " open " in row
    assert f"{payproof.system.sandbox_url}/hooks/payproof" in row


async def test_a_test_event_is_signed_so_that_the_shop_takes_it(payproof: Payproof) -> None:
    tested = await says(payproof, "test")
    assert tested.code == 0
    assert f"{endpoint(payproof)} at 127.0.0.1: it answered 204" in tested.out
    assert (await says(payproof, "test", "--endpoint", endpoint(payproof))).code == 0


async def test_a_test_event_to_nobody_says_why_and_ends_with_one(payproof: Payproof) -> None:
    nowhere = payproof.system.place / "nowhere.toml"
    text = payproof.system.config.read_text()
    nowhere.write_text(text.replace(f"{payproof.system.sandbox_url}/hooks/payproof", "http://127.0.0.1:9/hooks"))
    tested = await payproof_says(payproof, "webhooks", "test", PAYPROOF_CONFIG=str(nowhere))
    assert tested.code == 1
    assert "no answer: connection refused" in tested.out


async def test_replay_sends_again_what_was_delivered(payproof: Payproof) -> None:
    scene = await payproof.opened("ipay")
    payment_id = scene.payment["payment_id"]
    assert len(await delivered(payproof, payment_id)) == 1
    replayed = await says(payproof, "replay", "--since", DAY, "--type", "payment.opened")
    assert replayed.code == 0, replayed
    assert "delivered" in replayed.lines[-1]

    async def twice() -> bool:
        return len(await delivered(payproof, payment_id)) == 2

    await until(twice, what="it was delivered again")
    nothing = await says(payproof, "replay", "--since", "2100-01-01T00:00")
    assert (nothing.code, nothing.out.split()[0]) == (0, "0")


async def test_deliveries_are_listed_and_one_event_is_sent_again(payproof: Payproof) -> None:
    payment_id = (await payproof.opened("ipay")).payment["payment_id"]
    await delivered(payproof, payment_id)
    listed = await says(payproof, "deliveries", endpoint(payproof))
    assert re.search(r"^wh_\w+ at 127\.0\.0\.1: (open|shut).*; deliveries shown: \d+$", listed.lines[-1])
    assert listed.code == 0
    (row,) = [line for line in listed.lines if payment_id in line]
    assert row.split()[:2] == [f"{payment_id}.1", "payment.opened"]
    assert "delivered" in row
    assert "it answered 204" in row
    assert payment_id not in (await says(payproof, "deliveries", "--state", "given_up")).out
    records = [json.loads(line) for line in (await says(payproof, "deliveries", "--json")).lines]
    (record,) = [one for one in records if one["payment_id"] == payment_id]
    assert (record["endpoint"], record["state"], record["attempts"]) == (endpoint(payproof), "delivered", 1)
    assert f"{payment_id}.1" in (await says(payproof, "deliveries", "--csv")).out
    sent = await payproof_says(payproof, "events", "resend", f"{payment_id}.1")
    assert (sent.code, endpoint(payproof) in sent.out) == (0, True), sent

    async def twice() -> bool:
        return len(await delivered(payproof, payment_id)) == 2

    await until(twice, what="it was delivered again")
    one = await payproof_says(payproof, "events", "resend", f"{payment_id}.1", "--endpoint", endpoint(payproof))
    assert one.code == 0
    unknown = await payproof_says(payproof, "events", "resend", f"{payment_id}.9")
    assert (unknown.code, unknown.err.strip()) == (1, f"there is no event {payment_id}.9")
    wrong = await says(payproof, "deliveries", "--state", "lost")
    assert (wrong.code, "waiting, given_up" in wrong.err) == (2, True)


async def test_enable_opens_what_is_open_without_harm(payproof: Payproof) -> None:
    await delivered(payproof, (await payproof.opened("ipay")).payment["payment_id"])
    enabled = await says(payproof, "enable", endpoint(payproof))
    assert enabled.code == 0
    assert "was open already" in enabled.out


async def test_wrong_usage_names_what_there_is(payproof: Payproof) -> None:
    unknown = await says(payproof, "test", "wh_000000000000")
    assert unknown.code == 2
    assert endpoint(payproof) in unknown.err
    wrong = await says(payproof, "replay", "--since", DAY, "--type", "payment.paid")
    assert (wrong.code, "payment.completed" in wrong.err) == (2, True)


async def test_metrics_count_deliveries(payproof: Payproof) -> None:
    await delivered(payproof, (await payproof.opened("ipay")).payment["payment_id"])
    metrics = (await payproof.call("GET", f"{payproof.system.ops_url}/metrics")).text
    assert 'payproof_delivery_seconds_count{result="delivered"}' in metrics
    assert 'payproof_deliveries_waiting{endpoint="wh_' in metrics
    assert json.loads((await payproof.call("GET", f"{payproof.system.ops_url}/readyz")).text)["ready"] is True

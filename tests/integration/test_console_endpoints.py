"""The console's pages about endpoints, deliveries and events: what they show, what they do, and to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import pytest
from aiohttp import web

from schemas.secret import Secret
from tests.consoles import Console, running_console
from tests.integration.endpoints import SECRET, Hook, happen, hooking
from tests.integration.test_webhook_api import Turning, configured, turning
from tests.logins import LOGINS, as_user, make_logins
from tests.records import RECORD
from worker.config import Webhook
from worker.postgres.audit_rows import read_audit
from worker.postgres.database import Database, connect
from worker.postgres.events.endpoint_rows import enable_endpoint


class Scene:
    """A console, and an endpoint of the merchant `shop` with its worker."""

    def __init__(self, console: Console, sending: Turning) -> None:
        self.console, self.sending, self.hook = console, sending, sending.hook
        self.path = f"/endpoints/{sending.endpoint.id}"


@asynccontextmanager
async def playing(database: Database, hook: Hook, console_database: Database | None = None) -> AsyncIterator[Scene]:
    async with hooking(hook):
        config = configured(Webhook(id="main", url=f"{hook.url}?token=of-the-shop", secret=Secret(SECRET)))
        async with (
            turning(database, hook, config) as sending,
            running_console(console_database or database, config=config) as console,
        ):
            yield Scene(console, sending)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with playing(database, Hook()) as scene:
        yield scene


async def test_the_pages_show_what_waits_and_what_the_endpoint_said(scene: Scene, database: Database) -> None:
    async def answers(_: web.Request) -> web.Response:
        return web.Response(status=500, text="<b>no & never</b>")

    signed = await scene.console.signed_in("vera")
    assert "All events were delivered to the endpoints that want them." in (await signed.get("/endpoints")).text
    scene.hook.answers = answers
    (event_id,) = await happen(database, merchant="shop")
    await scene.sending.turn()
    listed = (await signed.get("/endpoints")).text
    assert "Events that wait: 1, at 1 of the endpoints." in listed
    assert "failing" in listed
    assert f'href="{scene.path}"' in listed
    one = (await signed.get(scene.path)).text
    assert f'href="{scene.path}/deliveries/{event_id}"' in one
    assert "HTTP 500" in one
    assert "of-the-shop" not in one + listed, "a query may hold a token"
    delivery = (await signed.get(f"{scene.path}/deliveries/{event_id}")).text
    assert "HTTP 500" in delivery
    assert "no &amp; never" not in delivery, "it may hold a buyer's data"
    assert "the roles operator, approver and auditor see it" in delivery
    delivery = (await (await scene.console.signed_in("omar")).get(f"{scene.path}/deliveries/{event_id}")).text
    assert "<b>no" not in delivery, "what an endpoint answers is shown as text"
    assert "<b>no & never</b>" in unescape(delivery)
    assert "webhook-signature: v1," in delivery
    assert SECRET.removeprefix("whsec_") not in delivery
    event = (await signed.get(f"/events/{event_id}")).text
    assert f'href="{scene.path}/deliveries/{event_id}"' in event
    assert "payment.completed" in event
    assert event_id in (await signed.get("/events")).text
    assert event_id in (await signed.get("/events?merchant=shop&type=payment.completed")).text
    assert event_id not in (await signed.get("/events?merchant=shop&type=payment.held")).text


async def test_an_operator_sends_one_again_and_a_viewer_has_no_button(scene: Scene, database: Database) -> None:
    (event_id,) = await happen(database, merchant="shop")
    await scene.sending.turn()
    path = f"{scene.path}/deliveries/{event_id}"
    viewer, operator = await scene.console.signed_in("vera"), await scene.console.signed_in("omar")
    assert "Send again" not in (await viewer.get(path)).text
    assert "Send again" in (await operator.get(path)).text
    answer = await operator.post(f"{path}/resend")
    assert (answer.status, answer.location) == (303, path)
    (act,) = await read_audit(database, ["shop"])
    assert (act.origin.actor, act.action, act.subject) == ("omar", "event.resent", event_id)
    assert act.payment_id == event_id.removesuffix(".1")
    assert "Delivered before it was sent again" in (await operator.get(path)).text
    payment_page = (await operator.get(f"/payments/{act.payment_id}")).text
    assert "sent again" in payment_page, "the shop has it, whatever becomes of the second time"
    await scene.sending.turn()
    assert scene.hook.taken == [event_id, event_id]
    assert (await viewer.post(f"{path}/resend")).status == 403


async def test_all_that_waits_and_all_that_was_given_up_is_sent_again(scene: Scene, database: Database) -> None:
    scene.hook.answers = 410
    events = await happen(database, 3, merchant="shop")
    await scene.sending.turn()
    operator = await scene.console.signed_in("omar")
    assert "Enable it, and send what waits" in (await operator.get(scene.path)).text
    scene.hook.answers = 204
    assert (await operator.post(f"{scene.path}/send-waiting")).location == scene.path
    await scene.sending.turn()
    assert sorted(scene.hook.taken) == events
    await database.execute("UPDATE deliveries SET delivered_at = NULL, given_up_at = now()")
    assert "Send again what was given up" in (await operator.get(f"{scene.path}?state=given_up")).text
    await operator.post(f"{scene.path}/send-given-up")
    await scene.sending.turn()
    assert sorted(scene.hook.taken) == sorted([*events, *events])


@pytest.mark.alone
async def test_an_endpoint_with_half_a_million_waiting_events_is_enabled(scene: Scene, database: Database) -> None:
    """In portions, below the time that the database gives a statement of the console."""
    endpoint_id = scene.path.rpartition("/")[2]
    await database.execute(
        """INSERT INTO deliveries (endpoint, event_id, place, next_at)
           SELECT $1, 'pay_' || i || '.1', i, clock_timestamp() + interval '2 h'
           FROM generate_series(1, 500000) AS i""",
        endpoint_id,
    )
    await database.execute("UPDATE endpoints SET disabled_at = clock_timestamp() WHERE id = $1", endpoint_id)
    await database.execute("ANALYZE deliveries")
    async with database.reading(writes=True) as own:
        assert await enable_endpoint(own, endpoint_id, own.clock.now(), RECORD)
    (row,) = await database.fetch(
        "SELECT count(*) AS n FROM deliveries WHERE endpoint = $1 AND next_at > clock_timestamp()", endpoint_id
    )
    assert row["n"] == 0
    (row,) = await database.fetch("SELECT disabled_at FROM endpoints WHERE id = $1", endpoint_id)
    assert row["disabled_at"] is None


async def test_a_test_event_is_sent_and_its_answer_shown(scene: Scene) -> None:
    operator = await scene.console.signed_in("omar")
    shown = (await operator.post(f"{scene.path}/test")).text
    assert "It took the test event: it answered 204." in shown
    scene.hook.answers = 500
    assert "It did not take the test event: it answered 500." in (await operator.post(f"{scene.path}/test")).text
    ((headers, body), _) = scene.hook.requests
    assert b"payproof.test" in body
    assert headers["webhook-id"].startswith("test_")


async def test_long_lists_are_paged_to_their_end(
    scene: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("endpoint_page", "events_page"):
        monkeypatch.setattr(f"worker.console.pages.{module}.PAGE", 2)
    scene.hook.answers = 500
    events = await happen(database, 5, merchant="shop")
    await scene.sending.turn()
    signed = await scene.console.signed_in("vera")

    async def walk(path: str) -> list[str]:
        found: list[str] = []
        while path:
            text = unescape((await signed.get(path)).text)
            found += [one for one in events if f">{one}</a>" in text]
            path = text.rpartition(">Further back</a>")[0].rpartition('href="')[2].rstrip('"')
        return found

    for path in (scene.path, f"{scene.path}?state=waiting", "/events?merchant=shop"):
        found = await walk(path)
        assert (sorted(found), len(found)) == (events, 5), path
    for wrong in ("?after=x", "?state=waiting&after=1.soon", "?state=lost"):
        assert (await signed.get(f"{scene.path}{wrong}")).status == 200


async def test_an_operator_of_another_merchant_sees_and_does_nothing_here(scene: Scene, database: Database) -> None:
    (event_id,) = await happen(database, merchant="shop")
    await scene.sending.turn()
    other = await scene.console.signed_in("onlyother")
    assert scene.path not in (await other.get("/endpoints")).text
    assert event_id not in (await other.get("/events")).text
    delivery = f"{scene.path}/deliveries/{event_id}"
    for path in (scene.path, delivery, f"/events/{event_id}", "/events?merchant=shop"):
        assert (await other.get(path)).status == 404, path
    for path in (
        f"{scene.path}/test",
        f"{scene.path}/send-waiting",
        f"{scene.path}/send-given-up",
        f"{delivery}/resend",
    ):
        assert (await other.post(path)).status == 404, path
    await scene.sending.turn()
    assert len(scene.hook.requests) == 1


async def test_the_consoles_login_may_do_all_of_it(database: Database, dsn: str) -> None:
    await make_logins(dsn)
    async with (
        connect(as_user(dsn, LOGINS["console"])) as own,
        playing(database, Hook(500), own) as scene,
    ):
        (event_id,) = await happen(database, merchant="shop")
        await scene.sending.turn()
        operator = await scene.console.signed_in("omar")
        delivery = f"{scene.path}/deliveries/{event_id}"
        for path in ("/endpoints", scene.path, delivery, "/events", f"/events/{event_id}"):
            assert (await operator.get(path)).status == 200, path
        for path in (f"{scene.path}/send-waiting", f"{scene.path}/send-given-up", f"{delivery}/resend"):
            assert (await operator.post(path)).status == 303, path

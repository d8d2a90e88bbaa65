"""`payproof listen` on a laptop whose network, proxy or log is another for a while, and its words then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct, field

from tests.commands import command
from tests.e2e.buyers import Payproof
from tests.e2e.listeners import Answer, answering, arrives, listening, opened, receiving, settings_of

ANOTHER = "the log is another than the last run read, so it is sent from its beginning"
ESCAPES = "\x1b]0;title\x07\x9b2J\nover"


class Between(Struct):
    """What stands between a laptop and the service: it answers `instead`, else as the service does, also for None."""

    url: str
    service: str
    instead: list[Answer | None] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        if self.instead and (answer := self.instead.pop(0)) is not None:
            return await answer()
        key = {"Authorization": request.headers["Authorization"]}
        asked = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=asked) as http,
            http.get(self.service + request.raw_path, headers=key) as got,
        ):
            return web.Response(status=got.status, body=await got.read(), content_type=got.content_type)


@asynccontextmanager
async def between(service: str) -> AsyncIterator[Between]:
    found = Between("", service)
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answering(200, "<h1>Log in to the network</h1>"), 200),
        (answering(200, '{"events": [1], "next": "x"}'), 200),
        (answering(302, Location="http://127.0.0.1:9/login"), 302),
    ],
)
async def test_what_is_no_answer_of_payproof_is_asked_again_once_it_has_answered(
    payproof: Payproof, tmp_path: Path, answer: Answer, status: int
) -> None:
    async with receiving() as receiver, between(payproof.system.url) as way:
        words = ("--url", way.url)
        async with listening(payproof, tmp_path, receiver.url, *words) as running:
            way.instead = [answer]
            await arrives(receiver, await opened(payproof))  # which ends the request that waits
            await running.says(f"answers {status}, and not as payproof does; asked again until it answers")
            await arrives(receiver, await opened(payproof))
            await running.says("answers again")
            await running.ended()
        way.instead = [answer]
        told = await command(
            *("listen", "--forward-to", receiver.url, *words), cwd=tmp_path, settings=settings_of(payproof, tmp_path)
        )
        assert (told.code, told.err) == (2, f"--url: {way.url} answers {status}, and not as payproof does\n")


@pytest.mark.parametrize(("status", "code"), [(403, 2), (410, 1)])
async def test_what_asking_again_cannot_change_ends_it_and_turns_no_terminal_around(
    payproof: Payproof, tmp_path: Path, status: int, code: int
) -> None:
    refusal = answering(status, json.dumps({"code": "cursor_expired", "detail": ESCAPES}))
    async with receiving() as receiver, between(payproof.system.url) as way:
        async with listening(payproof, tmp_path, receiver.url, "--url", way.url) as running:
            way.instead = [refusal]
            await opened(payproof)
            said = await running.rest()
        assert running.process.returncode == code
        assert not {"\x1b", "\x07", "\x9b"} & set(said)
        assert "\nover" not in said


def changed_state(home: Path, **changed: object) -> None:
    """Change the position that is kept."""
    (kept,) = (home / "payproof/listen").glob("*.json")
    state = json.loads(kept.read_text())
    for position in state["positions"].values():
        position.update(changed)
    kept.write_text(json.dumps(state))


async def test_a_log_that_lacks_the_event_that_was_read_last_is_another_and_is_sent_whole(
    payproof: Payproof, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url) as running:
            read = await opened(payproof)
            await running.says("it answered 204 after")
            await running.ended()
        async with listening(payproof, tmp_path, receiver.url) as running:
            assert ANOTHER not in await running.ended(), "it is the same log"
        page = (await payproof.shop_calls("GET", "/v1/events?limit=1")).json
        seen = {"events": 1, "last": "pay_of_a_former_log.1"}
        changed_state(tmp_path, seen=seen | {"after": page["next"]})
        async with listening(payproof, tmp_path, receiver.url) as running:
            await arrives(receiver, page["events"][0]["id"])
            await arrives(receiver, read, times=2)
            said = await running.ended()
        assert said.count(ANOTHER) == 1
        assert "from the beginning of the log" in said


async def test_events_that_retention_took_are_no_other_log(payproof: Payproof, tmp_path: Path) -> None:
    gone = answering(410, json.dumps({"code": "cursor_expired", "detail": "events after this cursor are gone"}))
    async with receiving() as receiver, between(payproof.system.url) as way:
        words = ("--url", way.url)
        async with listening(payproof, tmp_path, receiver.url, *words) as running:
            await opened(payproof)
            await running.says("it answered 204 after")
            await running.ended()
        missed = await opened(payproof)
        way.instead = [None, gone]  # of the newest cursor, and of the page that was read last
        async with listening(payproof, tmp_path, receiver.url, *words) as running:
            await arrives(receiver, missed)
            said = await running.ended()
        assert ANOTHER not in said
        assert receiver.ids()[1:] == [missed]


async def test_a_kept_cursor_that_is_none_is_named_with_its_file(payproof: Payproof, tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url) as running:
            await running.ended()
        changed_state(tmp_path, cursor="yesterday")
        words = ("listen", "--forward-to", receiver.url)
        told = await command(*words, cwd=tmp_path, settings=settings_of(payproof, tmp_path))
        assert told.code == 2
        assert told.err.startswith(f"the place kept in {tmp_path}/payproof/listen/")
        assert told.err.endswith("is no cursor of this merchant; --from newest or beginning replaces it\n")
        async with listening(payproof, tmp_path, receiver.url, "--from", "newest") as running:
            await running.ended()


async def test_a_first_run_that_cannot_begin_has_shown_its_secret(payproof: Payproof, tmp_path: Path) -> None:
    words = ("listen", "--forward-to", "http://127.0.0.1:9/hooks", "--from", "yesterday")
    told = await command(*words, cwd=tmp_path, settings=settings_of(payproof, tmp_path))
    assert (told.code, told.lines[0].startswith("webhook secret: whsec_")) == (2, True)

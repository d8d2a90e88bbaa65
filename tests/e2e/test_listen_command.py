"""`payproof listen`: a real service and a receiver on this machine that is down, refuses, redirects or is slow."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.commands import command
from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.e2e.listeners import answering, arrives, listening, opened, receiving, settings_of
from tests.processes import until
from worker.api.cursors import written_cursor
from worker.cli.listen_beginning import place_of
from worker.playground.demo.children import free_ports


async def test_events_arrive_signed_and_the_next_run_goes_on_where_it_ended(payproof: Payproof, tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url) as running:
            first = await opened(payproof)
            await arrives(receiver, first)
            await running.says("it answered 204 after")
            arguments = await asyncio.to_thread(Path(f"/proc/{running.process.pid}/cmdline").read_text)
            said = await running.ended()
        (secret,) = re.findall(r"^webhook secret: (whsec_\S+)$", said, flags=re.MULTILINE)
        assert secret not in arguments
        assert payproof.system.key not in arguments + said
        assert f"--> payment.opened {first}" in said
        assert re.search(r"^ended at the cursor \S+; payproof listen goes on from there", said, flags=re.MULTILINE)
        _, headers, body = receiver.got[0]
        assert Webhook(secret).verify(body, headers)["id"] == first
        logged = (await payproof.shop_calls("GET", "/v1/events?limit=1000")).body
        assert body in logged
        missed = [await opened(payproof) for _ in range(2)]
        async with listening(payproof, tmp_path, receiver.url) as running:
            await arrives(receiver, missed[-1])
            said = await running.ended()
        assert receiver.ids() == [first, *missed]
        assert Webhook(secret).verify(receiver.got[-1][2], receiver.got[-1][1])
        assert "whsec_" not in said
        files = [path for path in (tmp_path / "payproof/listen").iterdir() if path.is_file()]
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert (tmp_path / "payproof/listen").stat().st_mode & 0o777 == 0o700


async def test_an_event_is_sent_until_it_is_taken(payproof: Payproof, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with listening(payproof, tmp_path, f"http://127.0.0.1:{port}/hooks/payproof") as running:
        first, second = await opened(payproof), await opened(payproof)
        await running.says("no answer: connection refused")
        async with receiving(port) as receiver:
            receiver.answers = [
                answering(500, "Traceback: no such table\n\x1b[2Jorders"),
                answering(302, Location="/elsewhere"),
            ]
            await arrives(receiver, second)
            said = await running.ended()
        assert receiver.ids() == [first, first, first, second]
        assert receiver.other == 0, "a redirect is not followed"
        assert "it answered 500" in said
        assert "| Traceback: no such table" in said
        assert "\x1b" not in said
        assert "it answered 302" in said


async def test_a_slow_receiver_is_sent_one_event_at_a_time(payproof: Payproof, tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def slow() -> web.Response:
        await goes_on.wait()
        return web.Response(status=204)

    async with receiving() as receiver:
        receiver.answers = [slow]
        async with listening(payproof, tmp_path, receiver.url) as running:
            first, second = await opened(payproof), await opened(payproof)
            await arrives(receiver, first)
            assert receiver.ids() == [first]
            goes_on.set()
            await arrives(receiver, second)
            await running.ended()
        assert receiver.ids() == [first, second]


async def test_killed_after_sending_and_before_storing_it_sends_again(payproof: Payproof, tmp_path: Path) -> None:
    never = asyncio.Event()

    async def silent() -> web.Response:
        await never.wait()
        return web.Response(status=204)

    async with receiving() as receiver:
        receiver.answers = [answering(204), silent]
        async with listening(payproof, tmp_path, receiver.url) as running:
            first, second = await opened(payproof), await opened(payproof)
            await arrives(receiver, second)
            await running.ended(signal.SIGKILL)
        async with listening(payproof, tmp_path, receiver.url) as running:
            await arrives(receiver, second, times=2)
            await running.ended()
        assert receiver.ids() == [first, second, second]


async def test_chosen_types_from_the_beginning_or_a_cursor(payproof: Payproof, tmp_path: Path) -> None:
    wanted = ("--events", "payment.completed", "payment.refunded", "--from", "beginning")
    scene = await payproof.opened("ipay")
    await payproof.comes_back(scene, "pay")
    payment_id = scene.payment["payment_id"]
    completed = await payproof.settled(payment_id, "completed")
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url, *wanted) as running:
            await arrives(receiver, f"{payment_id}.{completed['version']}")
            told = "of these types alone, others are skipped for good: payment.completed, payment.refunded"
            assert told in (await running.ended()).splitlines()
        assert {json.loads(body)["type"] for _, _, body in receiver.got} == {"payment.completed"}
        cursor = (await payproof.shop_calls("GET", "/v1/events?limit=1")).json["next"]
        events = (await payproof.shop_calls("GET", f"/v1/events?limit=2&after={cursor}")).json["events"]
        async with listening(payproof, tmp_path, receiver.url, "--from", cursor) as running:
            await until(lambda: events[-1]["id"] in receiver.ids(), what="the events behind the cursor")
            await running.ended()


async def test_a_wrong_cursor_leaves_the_place_that_is_kept(payproof: Payproof, tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url) as running:
            await running.ended()
        missed = await opened(payproof)
        wrong = "yesterday"
        words = ("listen", "--forward-to", receiver.url, "--from", wrong)
        told = await command(*words, cwd=tmp_path, settings=settings_of(payproof, tmp_path))
        assert (told.code, "--from: is no cursor" in told.err) == (2, True), told
        async with listening(payproof, tmp_path, receiver.url) as running:
            await arrives(receiver, missed)
            await running.ended()


async def test_a_place_behind_the_end_is_of_another_log_which_is_sent_whole(payproof: Payproof, tmp_path: Path) -> None:
    await opened(payproof)
    first = (await payproof.shop_calls("GET", "/v1/events?limit=1")).json["events"][0]["id"]
    async with receiving() as receiver:
        async with listening(payproof, tmp_path, receiver.url) as running:
            await running.ended()
        (kept,) = (tmp_path / "payproof/listen").glob("*.json")
        state = json.loads(kept.read_text())
        for position in state["positions"].values():
            merchant, _ = place_of(position["cursor"])
            position["cursor"] = written_cursor(f"{merchant}.99999999")
        kept.write_text(json.dumps(state))
        async with listening(payproof, tmp_path, receiver.url) as running:
            await arrives(receiver, first)
            assert "so it is sent from its beginning" in await running.ended()
    far = written_cursor(f"{merchant}.99999999")
    answered = await payproof.shop_calls("GET", f"/v1/events?after={far}")
    assert (answered.status, answered.json["code"]) == (410, "cursor_expired")


async def test_buyers_data_go_by_plain_http_to_this_machine_alone_unless_allowed(
    payproof: Payproof, tmp_path: Path
) -> None:
    for words in (
        ("--forward-to", "http://10.0.0.7/hooks"),
        ("--forward-to", "http://localhost/h", "--url", "http://a"),
    ):
        told = await command("listen", *words, cwd=tmp_path, settings=settings_of(payproof, tmp_path))
        assert (told.code, "without encryption; use https, or --allow-http" in told.err) == (2, True), told
    async with listening(payproof, tmp_path, "http://10.0.0.7/hooks", "--allow-http") as running:
        await running.ended()


@pytest.mark.parametrize(
    ("words", "changed", "why"),
    [
        ((), {"PAYPROOF_API_KEY": "wrong-key-of-nobody-at-all"}, "PAYPROOF_API_KEY is none of"),
        ((), {"PAYPROOF_API_KEY": ""}, "PAYPROOF_API_KEY: set it"),
        (("--events", "payment.paid"), {}, "--events: payment.paid is none of"),
        (("--from", "yesterday"), {}, "--from: is no cursor"),
        (("--url", "ftp://nowhere"), {}, "fragment, such as https://pay.shop.example"),
        (("--forward-to", "9000"), {}, "fragment, such as http://127.0.0.1:9000/hooks/payproof"),
        (("--forward-to", "localhost:9000"), {}, "fragment, such as http://127.0.0.1:9000/hooks/payproof"),
    ],
)
async def test_wrong_usage_is_said_in_words(
    payproof: Payproof, tmp_path: Path, words: tuple[str, ...], changed: dict[str, str], why: str
) -> None:
    to = () if "--forward-to" in words else ("--forward-to", "http://127.0.0.1:9/hooks")
    told = await command(
        *("listen", *to, *words),
        cwd=tmp_path,
        settings=settings_of(payproof, tmp_path) | changed,
    )
    assert (told.code, why in told.err) == (2, True), told


async def test_a_second_one_for_the_same_receiver_is_refused(payproof: Payproof, tmp_path: Path) -> None:
    to = "http://127.0.0.1:9/hooks"
    async with listening(payproof, tmp_path, to):
        words = ("listen", "--forward-to", to)
        told = await command(*words, cwd=tmp_path, settings=settings_of(payproof, tmp_path))
        assert (told.code, "another payproof listen" in told.err) == (1, True)


async def test_beside_a_configuration_for_development_it_signs_with_that_ones_secret(
    payproof: Payproof, tmp_path: Path
) -> None:
    settings = settings_of(payproof, tmp_path)
    (tmp_path / "payproof.toml").write_text("development = true\n")
    own = {name: settings[name] for name in ("PAYPROOF_API_KEY", "PAYPROOF_PUBLIC_URL")} | {
        "PAYPROOF_WEBHOOK_SECRET": WEBHOOK_SECRET
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    async with receiving() as receiver:
        receiver.answers = [answering(401, "bad signature"), answering(401, "bad signature")]
        async with listening(payproof, tmp_path, receiver.url) as running:
            event_id = await opened(payproof)
            await arrives(receiver, event_id, times=3)
            said = await running.ended()
        assert "webhook secret: PAYPROOF_WEBHOOK_SECRET of .env" in said.splitlines()
        assert said.count("does the receiver have the secret in .env?") == 1
        assert Webhook(WEBHOOK_SECRET).verify(receiver.got[-1][2], receiver.got[-1][1])
        (kept,) = (tmp_path / "payproof/listen").glob("*.json")
        assert WEBHOOK_SECRET not in kept.read_text()
        async with listening(payproof, tmp_path, receiver.url, "--url", payproof.system.url) as running:
            assert re.search(r"^webhook secret: whsec_", await running.ended(), flags=re.MULTILINE)

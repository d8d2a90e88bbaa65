"""`payproof bench` beside a running service: what it measures, and that it sends nothing where no sandbox is.

Every refusal is followed by a count of the payments that were opened.
"""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

from tests.commands import SECONDS, Ended, started
from tests.e2e.buyers import Payproof, payproof_says
from tests.harness import Child, free_ports
from tests.processes import until

KEY = "--key=env:PAYPROOF_API_KEY"


async def bench(payproof: Payproof, *words: str, **settings: str) -> Ended:
    return await payproof_says(payproof, "bench", KEY, *words, PAYPROOF_API_KEY=payproof.system.key, **settings)


async def opened(payproof: Payproof) -> int:
    counted: int = (await payproof.shop_calls("GET", "/v1/payments?limit=1")).json["summary"]["count"]
    return counted


def configured_otherwise(payproof: Payproof, name: str, base_url: str) -> str:
    """Write a configuration with another address for shop-ipay's gateway. Returns its path."""
    text = payproof.system.config.read_text()
    path: Path = payproof.system.place / f"{name}.toml"
    path.write_text(text.replace(f"{payproof.system.sandbox_url}/ipay", base_url))
    return str(path)


async def test_its_help_says_what_it_does_and_what_it_refuses(payproof: Payproof) -> None:
    ended = await payproof_says(payproof, "bench", "--help")
    told = " ".join(ended.out.split())
    assert ended.code == 0
    assert "It refuses an account whose gateway is anything but a sandbox." in told
    assert "at most 200" in told


@pytest.mark.parametrize(
    ("account", "by"),
    [
        ("shop-ipay", "return"),
        ("shop-onepaybd", "return"),
        ("shop-payparse", "return"),
        ("shop-shadhinpay", "webhook"),
        ("shop-moneybag", "webhook"),
    ],
)
async def test_it_measures_from_callback_to_event(payproof: Payproof, account: str, by: str) -> None:
    before = await opened(payproof)
    ended = await bench(payproof, f"--account={account}", f"--by={by}", "--rate=10", "--seconds=1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[0] == f"10 payments at {account}, 10 a second for 1 s, told by {by}"
    assert ended.lines[1].startswith("accepted  10 callbacks, ")
    assert ended.lines[2] == "verified  10 payments"
    assert re.fullmatch(r"callback to event  p50 \d+ ms, p99 \d+ ms, p99.9 \d+ ms \(.+\)", ended.lines[3])
    assert ended.lines[4:] == ["failed    0"]
    assert await opened(payproof) == before + 11, "the first, which proves the sandbox, is not counted"


async def test_an_address_that_no_sandbox_has_is_not_even_asked(payproof: Payproof) -> None:
    before = await opened(payproof)
    real = configured_otherwise(payproof, "real", "https://ipay.invalid/api/pg")
    ended = await bench(payproof, "--account=shop-ipay", PAYPROOF_CONFIG=real)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(
        "shop-ipay: the gateway at https://ipay.invalid/api/pg is no payproof sandbox: /ipay is no part of its address"
    )
    assert "no load is ever sent at a real gateway" in ended.err
    assert await opened(payproof) == before


async def test_a_gateway_without_the_control_api_is_refused(payproof: Payproof) -> None:
    before = await opened(payproof)
    other, away = payproof.system.url, f"http://127.0.0.1:{free_ports(1)[0]}"
    refused = (
        f"the gateway at {other}/ipay is no payproof sandbox: GET /_control/openapi.json was answered with HTTP 404"
    )
    for name, url, why in (("other", other, refused), ("away", away, f"no sandbox answers at {away} (")):
        ended = await bench(
            payproof, "--account=shop-ipay", PAYPROOF_CONFIG=configured_otherwise(payproof, name, f"{url}/ipay")
        )
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
    assert await opened(payproof) == before


async def test_a_service_whose_gateway_is_another_than_our_configurations_is_refused(payproof: Payproof) -> None:
    """The sandbox that is asked here proves itself, but the service does not open its checkouts there."""
    (port,) = free_ports(1)
    sandbox = Child(
        "another", "worker.cli", "sandbox", f"--port={port}", log=payproof.system.place / "another.log", settings={}
    )
    sandbox.start()
    before = await opened(payproof)
    try:
        sandbox.wait_for(f"http://127.0.0.1:{port}/_control/openapi.json", seconds=20)
        another = configured_otherwise(payproof, "another", f"http://127.0.0.1:{port}/ipay")
        ended = await bench(payproof, "--account=shop-ipay", PAYPROOF_CONFIG=another)
    finally:
        sandbox.stop()
    assert (ended.code, ended.out) == (2, "")
    assert "elsewhere than at the sandbox" in ended.err
    assert "nothing more was sent" in ended.err
    assert await opened(payproof) == before + 1


async def test_what_cannot_be_measured_is_told_before_anything_is_sent(payproof: Payproof) -> None:
    before = await opened(payproof)
    for words, why in (
        ((), "--account: there are several: shop-payparse, "),
        (("--account=shop-nagad",), "--account: shop-nagad is none of shop-payparse, "),
        (("--account=shop-payparse-blind",), "has no status API, so none of its payments can be verified"),
        (("--account=shop-ipay", "--by=webhook"), "--by: the gateway of shop-ipay sends no signed webhooks"),
        (("--account=shop-ipay", "--rate=201"), "201"),
    ):
        ended = await bench(payproof, *words)
        assert (ended.code, ended.out) == (2, "")
        assert why in ended.err
    stranger = await payproof_says(payproof, "bench", "--key=a-strangers", "--account=shop-ipay")
    assert (stranger.code, stranger.out) == (2, "")
    assert stranger.err == "--key: is no API key of shop, whose account shop-ipay is\n"
    assert await opened(payproof) == before


async def test_a_first_payment_that_goes_wrong_ends_it(payproof: Payproof) -> None:
    control, hooks = payproof.stage.control, f"{payproof.system.url}/webhooks/shop-moneybag"
    before = await opened(payproof)
    await control.post("webhook_urls", provider="moneybag")
    try:
        ended = await bench(payproof, "--account=shop-moneybag", "--by=webhook")
    finally:
        await control.post("webhook_urls", provider="moneybag", url=hooks)
    assert (ended.code, ended.out) == (1, "")
    why = "the sandbox refused: webhook: no webhook URL is set for moneybag"
    assert ended.err == f"the first payment was not verified: {why}; nothing more was sent\n"
    assert await opened(payproof) == before + 1


async def test_ctrl_c_ends_it(payproof: Payproof) -> None:
    before = await opened(payproof)
    settings = payproof.system.settings | {"PAYPROOF_API_KEY": payproof.system.key}
    words = ("bench", KEY, "--account=shop-ipay", "--rate=1", "--seconds=60")
    process = await started(*words, cwd=payproof.system.place, settings=settings)

    async def all_open() -> bool:
        return await opened(payproof) == before + 61

    try:
        await until(all_open, what="61 payments are open", seconds=SECONDS)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_a_service_that_is_away_is_told(payproof: Payproof) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    ended = await bench(payproof, "--account=shop-ipay", f"--url={away}")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"the service at {away} cannot be reached (ClientConnectorError)\n"

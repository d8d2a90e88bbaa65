"""The README's own commands, in an empty home: from the installation to a verified payment, and the guide's after it.

They are run as they stand there. Only the ports are others, by the settings that the guide names.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.harness import free_ports
from tests.processes import directory, until
from worker.config.env_file import read_env

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
INSTALL_SECONDS = 240
FIRST_SECONDS = 60.0
BLOCK_SECONDS = 120
RUNS = "Everything runs"


def blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


START, TRIGGER = blocks("README.md")
GUIDE = blocks("deploy/guide/first-minute.md")


PRODUCTION = {
    "PAYPROOF_DATABASE_URL": "postgresql://payproof@production.invalid/payproof",
    "PAYPROOF_AMQP_URL": "amqp://production.invalid/",
    "PAYPROOF_PUBLIC_URL": "https://production.invalid",
    "PAYPROOF_API_KEY": "the-key-of-production-that-may-all",
}
"""A shell that was used for production. None of it may be used."""


class Home:
    """An empty home directory with ports of its own; `said` is what `payproof dev` has printed."""

    def __init__(self, place: Path) -> None:
        listen, ops, console, self.sandbox = free_ports(4)
        self.place, self.shop, self.output = place, place / "shop", place / "output"
        self.url = f"http://127.0.0.1:{listen}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PAYPROOF_", "PYTHON"))}
        self.environment = kept | {
            "HOME": str(place),
            "PAYPROOF_LISTEN": f"127.0.0.1:{listen}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_CONSOLE_LISTEN": f"127.0.0.1:{console}",
            **PRODUCTION,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def begin(self, block: str, cwd: Path) -> None:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", "-ec", block],
                cwd=cwd,
                env=self.environment | {"PAYPROOF_SANDBOX_PORT": str(self.sandbox)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def runs(self, seconds: float) -> None:
        def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.said
            return RUNS in self.said

        await until(look, what="payproof dev runs", seconds=seconds)

    def end(self) -> int:
        """Ctrl-C, which reaches the whole group. Returns the exit code once every process of it has ended."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(BLOCK_SECONDS)

    def does(self, block: str) -> subprocess.CompletedProcess[str]:
        """A block in another terminal, in the shop's directory."""
        words = f". {self.place}/payproof/bin/activate\ncd {self.shop}\n{block}"
        return subprocess.run(
            ["bash", "-ec", words],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )

    def asks(self, path: str) -> dict[str, object]:
        key = read_env((self.shop / ".env").read_text())["PAYPROOF_API_KEY"]
        asked = Request(self.url + path, headers={"Authorization": f"Bearer {key}"})
        with urlopen(asked, timeout=20) as answered:
            told: dict[str, object] = json.load(answered)
        return told

    def delivered(self) -> list[str]:
        """The types of the events that the demo shop has taken."""
        endpoints = self.asks("/v1/webhooks")["webhooks"]
        assert isinstance(endpoints, list)
        rows = self.asks(f"/v1/webhooks/{endpoints[0]['id']}/deliveries")["deliveries"]
        assert isinstance(rows, list)
        return [row["type"] for row in rows if row["state"] == "delivered"]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with directory() as place:
        home = Home(place)
        try:
            yield home
        finally:
            if home.process is not None and home.process.poll() is None:
                home.end()


async def test_the_readmes_commands_end_with_a_verified_payment_at_the_shop(home: Home) -> None:
    home.begin(START, ROOT)
    await until(home.shop.exists, what="payproof is installed", seconds=INSTALL_SECONDS)
    began = time.monotonic()
    await home.runs(FIRST_SECONDS)
    ended = home.does(TRIGGER)
    assert ended.returncode == 0, ended.stderr + home.said
    assert "event    payment.completed pay_" in ended.stdout
    await until(lambda: "payment.completed" in home.delivered(), what="the shop has the event", seconds=FIRST_SECONDS)
    took = time.monotonic() - began
    print(f"from `payproof init --sandbox` until the shop had payment.completed: {took:.1f} s\n{ended.stdout}")
    assert took < FIRST_SECONDS
    drawn = read_env((home.shop / ".env").read_text())
    assert "Not used, since they are not so in .env: PAYPROOF_AMQP_URL, PAYPROOF_API_KEY" in home.said
    assert drawn["PAYPROOF_API_KEY"] in home.said
    assert drawn["PAYPROOF_WEBHOOK_SECRET"] in home.said


def test_the_guide_begins_as_the_readme_does() -> None:
    assert GUIDE[:2] == [START, TRIGGER]


@pytest.mark.parametrize("block", GUIDE[2:], ids=lambda block: block.split("\n")[0][:40])
async def test_the_guides_commands_do_what_it_says(home: Home, block: str) -> None:
    ended = home.does(block)
    assert ended.returncode == 0, ended.stdout + ended.stderr + home.said


async def test_a_request_that_is_printed_can_be_pasted(home: Home) -> None:
    pasted = [line for line in home.said.splitlines() if line.startswith("  curl ")]
    assert len(pasted) == 3
    ended = home.does("\n".join(pasted).replace("curl -s", "curl -sf"))
    assert ended.returncode == 0, ended.stderr


async def test_a_word_that_a_gateway_cannot_end_by_names_those_that_can(home: Home) -> None:
    ended = home.does("payproof trigger refunded --account shop-ipay")
    assert ended.returncode == 2
    assert "cannot happen at shop-ipay (ipay); it can at shop-payparse, shop-shadhinpay" in " ".join(
        ended.stderr.split()
    )
    ended = home.does("payproof trigger paid")
    assert ended.returncode == 2
    assert "paid is none of completed, failed" in " ".join(ended.stderr.split())


async def test_a_second_one_in_the_directory_is_told_so(home: Home) -> None:
    ended = home.does("payproof dev")
    assert ended.returncode == 2
    assert "payproof dev runs in this directory already, as process" in ended.stderr


async def test_after_ctrl_c_nothing_is_left_and_the_next_start_has_the_payments(home: Home) -> None:
    assert home.process is not None
    before = home.asks("/v1/payments?limit=1")["summary"]
    home.end()
    with pytest.raises(ProcessLookupError):
        os.killpg(home.process.pid, 0)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", home.sandbox))
        taken.listen()
        ended = home.does("payproof dev")
        assert ended.returncode == 2
        assert f"127.0.0.1:{home.sandbox} for the sandbox and its shop" in ended.stderr
        assert "Address already in use" in ended.stderr
    home.begin(f". {home.place}/payproof/bin/activate && exec payproof dev", home.shop)
    await home.runs(FIRST_SECONDS)
    assert home.asks("/v1/payments?limit=1")["summary"] == before
    assert home.end() == 0

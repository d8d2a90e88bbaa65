"""The README's own commands, in an empty home: from the installation to a verified payment, and the guides' after it.

They are run as they stand there. Only the ports are others, by the settings that the guide names. What the guide leaves
to the reader, such as a secret that a command prints, is put in its place.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
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
FIRST_START, FIRST_TRIGGER, WORDS, BY_HAND, COPY, LISTEN, RECEIVE, SHIPMENTS = blocks("deploy/guide/first-minute.md")
TEST_START, TEST_BY_HAND, TEST_LISTEN, TEST_AT_PRODUCTION, *RECIPES = blocks("deploy/guide/test.md")
(DOCTOR,), (SERVE,) = blocks("deploy/guide/go-live.md"), blocks("deploy/guide/operate.md")
(OPERATOR,) = blocks("deploy/guide/console.md")
DJANGO, SEND_AGAIN, _TESTS = blocks("deploy/guide/receive.md")
EVENT = "pay_0123456789abcdefghijklmnop.2"
"""An event's name that stands for any."""

PRODUCTION = {
    "PAYPROOF_DATABASE_URL": "postgresql://payproof@production.invalid/payproof",
    "PAYPROOF_AMQP_URL": "amqp://production.invalid/",
    "PAYPROOF_PUBLIC_URL": "https://production.invalid",
    "PAYPROOF_API_KEY": "the-key-of-production-that-may-all",
}
"""A shell that was used for production. None of it may be used."""


class Program:
    """A block that runs until Ctrl-C, in a process group of its own; `said` is what it has printed."""

    def __init__(self, block: str, output: Path, cwd: Path, environment: dict[str, str]) -> None:
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                ["bash", "-ec", block],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    async def says(self, words: str, seconds: float) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.said
            return words in self.said

        await until(look, what=f"{self.output.name} says {words!r}", seconds=seconds)

    def end(self) -> int:
        """Ctrl-C, which reaches the whole group. Returns the exit code once its first process has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(BLOCK_SECONDS)


class Home:
    """An empty home directory with ports of its own; `dev` is the block that runs `payproof dev`."""

    dev: Program

    def __init__(self, place: Path) -> None:
        listen, ops, console, self.sandbox, self.receiver = free_ports(5)
        self.place, self.shop, self.programs = place, place / "shop", list[Program]()
        self.url = f"http://127.0.0.1:{listen}"
        strangers = ("PAYPROOF_", "PYTHON", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strangers)}
        self.environment = kept | {
            "HOME": str(place),
            "PAYPROOF_LISTEN": f"127.0.0.1:{listen}",
            "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
            "PAYPROOF_CONSOLE_LISTEN": f"127.0.0.1:{console}",
            "PORT": str(self.receiver),
            "PYTHONUNBUFFERED": "1",
            **PRODUCTION,
        }

    def begin(self, name: str, block: str, cwd: Path | None = None, **settings: str) -> Program:
        """A block in another terminal, that runs until it is ended. `name` is that of its output."""
        environment = self.environment | settings
        program = Program(self._here(block), self.place / f"{name}.output", cwd or self.place, environment)
        self.programs.append(program)
        return program

    def develops(self, block: str, cwd: Path) -> None:
        self.dev = self.begin("dev", block, cwd, PAYPROOF_SANDBOX_PORT=str(self.sandbox))

    async def receives(self, block: str) -> Program:
        """The receiver of the guide. Returns when it listens."""
        program = self.begin("receiver", block)

        def listens() -> bool:
            assert program.process.poll() is None, program.said
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.receiver)):
                return True
            return False

        await until(listens, what="the receiver listens")
        return program

    def does(self, block: str, cwd: Path | None = None, typed: str = "") -> subprocess.CompletedProcess[str]:
        """A block in another terminal, in the shop's directory, to its end."""
        words = f". {self.place}/payproof/bin/activate\ncd {cwd or self.shop}\n{self._here(block)}"
        return subprocess.run(
            ["bash", "-ec", words],
            cwd=self.place,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )

    def _here(self, block: str) -> str:
        return block.replace("127.0.0.1:9000", f"127.0.0.1:{self.receiver}")

    def asks(self, path: str) -> dict[str, object]:
        key = read_env((self.shop / ".env").read_text())["PAYPROOF_API_KEY"]
        asked = Request(self.url + path, headers={"Authorization": f"Bearer {key}"})
        with urlopen(asked, timeout=20) as answered:
            told: dict[str, object] = json.load(answered)
        return told

    async def ships(self, payment_id: str, seconds: float) -> None:
        """Returns when the receiver's own database says that the payment's order may leave."""

        def look() -> bool:
            with closing(sqlite3.connect(self.shop / "shop.sqlite", timeout=20)) as database:
                told = "select payments.id, shipments.stop from payments join shipments using (order_id)"
                return (payment_id, None) in database.execute(told).fetchall()

        await until(look, what=f"{payment_id} is shipped", seconds=seconds)

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
            for program in home.programs[::-1]:
                program.end()


async def test_the_readmes_commands_end_with_a_shipment_of_the_guides_receiver(home: Home) -> None:
    home.develops(START, ROOT)
    await until(home.shop.exists, what="payproof is installed", seconds=INSTALL_SECONDS)
    began = time.monotonic()
    await home.dev.says(RUNS, FIRST_SECONDS)
    assert home.does(COPY, ROOT).returncode == 0
    listen = home.begin("listen", LISTEN)
    await listen.says("Ctrl-C ends it", FIRST_SECONDS)
    receiver = await home.receives(RECEIVE)
    ended = home.does(TRIGGER)
    assert ended.returncode == 0, ended.stderr + home.dev.said
    (event,) = re.findall(r"event +payment\.completed (pay_\S+)", ended.stdout)
    payment_id = event.partition(".")[0]
    await home.ships(payment_id, FIRST_SECONDS)
    took = time.monotonic() - began
    print(f"from `payproof init --sandbox` until the receiver had payment.completed: {took:.1f} s\n{ended.stdout}")
    assert took < FIRST_SECONDS
    payment = home.asks(f"/v1/payments/{payment_id}")
    assert f"('{payment['order'] or payment['reference']}', None)" in home.does(SHIPMENTS).stdout
    assert "it answered 200" in listen.said
    listen.end()
    receiver.end()
    assert "ended at the cursor" in listen.said
    await until(lambda: "payment.completed" in home.delivered(), what="its shop has it too", seconds=FIRST_SECONDS)


def test_what_starts_it_says_how_to_use_it(home: Home) -> None:
    drawn = read_env((home.shop / ".env").read_text())
    assert "Not used, since they are not so in .env: PAYPROOF_AMQP_URL, PAYPROOF_API_KEY" in home.dev.said
    assert drawn["PAYPROOF_API_KEY"] in home.dev.said
    assert drawn["PAYPROOF_WEBHOOK_SECRET"] in home.dev.said


def test_the_guides_begin_as_the_readme_does() -> None:
    assert [FIRST_START, FIRST_TRIGGER] == [START, TRIGGER]
    assert START.endswith(TEST_START)
    assert LISTEN.endswith(TEST_LISTEN)
    assert TEST_AT_PRODUCTION.startswith("# production\n")


@pytest.mark.parametrize("block", [WORDS, BY_HAND, DOCTOR], ids=["every end", "by hand", "doctor"])
async def test_the_guides_commands_do_what_they_say(home: Home, block: str) -> None:
    ended = home.does(block)
    assert ended.returncode == 0, ended.stdout + ended.stderr + home.dev.said


async def test_an_operator_is_made_by_a_password_that_is_typed_twice(home: Home) -> None:
    ended = home.does(OPERATOR, typed="a password of some length\n" * 2)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'name = "rahima"' in ended.stdout


async def test_the_requests_of_the_guide_to_the_sandbox_are_taken(home: Home) -> None:
    recipes = [recipe.replace("REFERENCE", f"recipe-{number}") for number, recipe in enumerate(RECIPES)]
    assert len(recipes) > 20
    ended = home.does("".join([TEST_BY_HAND, *recipes]).replace("curl -s", "curl -sf"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert '"status":"completed"' in ended.stdout.replace(" ", "")


async def test_a_test_event_and_an_event_once_more_are_sent(home: Home) -> None:
    events = home.asks("/v1/events")["events"]
    assert isinstance(events, list)
    ended = home.does(SEND_AGAIN.replace(EVENT, events[0]["id"]))
    assert ended.returncode == 0, ended.stdout + ended.stderr


async def test_the_django_shop_starts_by_three_commands(home: Home) -> None:
    shutil.copytree(ROOT / "deploy/django", home.place / "django")
    *prepare, serve = DJANGO.splitlines()
    names = ("PAYPROOF_URL", "PAYPROOF_API_KEY", "PAYPROOF_WEBHOOK_SECRET", "PAYPROOF_ACCOUNT", "SHOP_URL")
    settings = "".join(f"export {name}=unset\n" for name in (*names, "DJANGO_SECRET_KEY"))
    ended = home.does(settings + "\n".join(prepare), home.place / "django")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    activate = f". {home.place}/payproof/bin/activate\n"
    shop = home.begin("django", f"{activate}{settings}exec {serve} {home.receiver}", home.place / "django")
    await shop.says("Starting development server", FIRST_SECONDS)
    assert shop.end() == 0


async def test_a_request_that_is_printed_can_be_pasted(home: Home) -> None:
    pasted = [line for line in home.dev.said.splitlines() if line.startswith("  curl ")]
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
    before = home.asks("/v1/payments?limit=1")["summary"]
    home.dev.end()
    with pytest.raises(ProcessLookupError):
        os.killpg(home.dev.process.pid, 0)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", home.sandbox))
        taken.listen()
        ended = home.does("payproof dev")
        assert ended.returncode == 2
        assert f"127.0.0.1:{home.sandbox} for the sandbox and its shop" in ended.stderr
        assert "Address already in use" in ended.stderr
    await starts_again(home)
    assert home.asks("/v1/payments?limit=1")["summary"] == before
    assert home.dev.end() == 0


async def test_an_endpoint_in_the_configuration_needs_no_listen(home: Home) -> None:
    page = (ROOT / "deploy/guide/first-minute.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```toml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    configuration = home.shop / "payproof.toml"
    with configuration.open("a") as file:
        file.write("\n" + table.replace("127.0.0.1:9000", f"127.0.0.1:{home.receiver}"))
    receiver = await home.receives(RECEIVE)
    await starts_again(home)
    ended = home.does(TRIGGER)
    assert ended.returncode == 0, ended.stderr + home.dev.said
    (event,) = re.findall(r"event +payment\.completed (pay_\S+)", ended.stdout)
    await home.ships(event.partition(".")[0], FIRST_SECONDS)
    receiver.end()
    assert home.dev.end() == 0


@pytest.mark.parametrize("command", SERVE.splitlines())
async def test_the_roles_run_as_the_guide_says(home: Home, command: str) -> None:
    shell = f". {home.place}/payproof/bin/activate && unset {' '.join(PRODUCTION)}\n"
    serve = home.begin("serve", f"{shell}exec {command}", home.shop)
    await serve.says("process.ready", FIRST_SECONDS)
    assert serve.end() == 0


async def starts_again(home: Home) -> None:
    home.develops(f". {home.place}/payproof/bin/activate && exec payproof dev", home.shop)
    await home.dev.says(RUNS, FIRST_SECONDS)

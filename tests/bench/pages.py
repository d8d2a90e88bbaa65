"""`python -m tests.bench.pages`: each page of the console among a million payments, and buyers beside people who click.

A real PostgreSQL holds `--payments` payments of one shop (`--keep DIRECTORY` keeps it for the next run), and `serve`
runs twice: ingress, and the console, which everybody signs in to by its form. Each page is taken `--times` times, and
so are the API's lists. Then buyers return and look, so many a second: by turns beside nobody, beside `--people` people
who click through all pages, and beside these and one person whose script loads 100 lists and files at once. This is
repeated `--rounds` times. `--together` runs both roles in one process.
"""

from __future__ import annotations

import argparse
import asyncio
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
from msgspec import Struct

from tests.bench.clicking import Answers, Buyers, Load, People, running
from tests.bench.console_client import (
    KEY,
    PEOPLE,
    Browser,
    Taken,
    filters,
    http_session,
    operators_toml,
    pages_of,
    person,
    shop,
    sign_in,
)
from tests.bench.million import CONTACT_KEY, filled
from tests.bench.spread import spread
from tests.harness import Child, free_ports
from tests.processes import directory
from worker.console.access import COOKIE

PAYMENTS, TIMES, ROUNDS, SECONDS, LOOKS, RETURNS = 1_000_000, 20, 3, 15.0, 50.0, 20.0
GOAL_MS = 100.0
SCRIPT = "anis"
"""The person with the script."""

READY_SECONDS = 60.0

_CONFIG = """
[contacts]
keys = ["{contacts}"]

[[merchants]]
id = "shop"
name = "Bench shop"
api_keys = ["{key}"]
[[merchants.webhooks]]
id = "shop"
url = "https://shop.example/hooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[[merchants.accounts]]
id = "shop-ipay"
provider = "ipay"
base_url = "http://127.0.0.1:9"
api_key = "bench-key-that-is-of-no-worth"
[[merchants.accounts]]
id = "shop-rare"
provider = "ipay"
base_url = "http://127.0.0.1:9"
api_key = "rare-key-that-is-of-no-worth"
[[merchants.accounts]]
id = "shop-one"
provider = "onepaybd"
base_url = "http://127.0.0.1:9"
api_key = "bench-key-that-is-of-no-worth"

[[merchants]]
id = "small"
name = "Small shop"
api_keys = ["another-key-that-is-of-no-worth"]
[[merchants.accounts]]
id = "small-one"
provider = "onepaybd"
base_url = "http://127.0.0.1:9"
api_key = "small-key-that-is-of-no-worth"

"""


class Served(Struct, frozen=True, kw_only=True):
    """Where the console and the public listener answer."""

    console: str
    port: int

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(place: Path, database: str, *, together: bool) -> AsyncIterator[Served]:
    public, console, *ops = free_ports(4)
    toml, key = place / "payproof.toml", key_text(CONTACT_KEY)
    toml.write_text(_CONFIG.format(contacts=key, key=KEY) + operators_toml())
    settings = {
        "PAYPROOF_CONFIG": str(toml),
        "PAYPROOF_DATABASE_URL": database,
        "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
        "PAYPROOF_CONSOLE_LISTEN": f"127.0.0.1:{console}",
        "PAYPROOF_TRUSTED_PROXIES": "127.0.0.1",
        "PAYPROOF_LOG": "json",
    }
    with ExitStack() as started:
        for roles, own in zip(("ingress,console",) if together else ("ingress", "console"), ops, strict=False):
            listen = {"PAYPROOF_OPS_LISTEN": f"127.0.0.1:{own}"}
            words = ("worker.cli", "serve", f"--roles={roles}")
            child = Child(roles, *words, log=place / "payproof.log", settings=settings | listen)
            child.start()
            started.callback(child.stop)
            await asyncio.to_thread(child.wait_for, f"http://127.0.0.1:{own}/readyz", seconds=READY_SECONDS)
        yield Served(console=f"http://127.0.0.1:{console}", port=public)


def key_text(key: bytes) -> str:
    """A key as the configuration has it."""
    return b64encode(key).decode()


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--keep", type=Path, help="a directory in which the filled cluster stays")
    parser.add_argument("--together", action="store_true", help="one process with both roles")
    parser.add_argument("--like", default="", help="only pages whose name has this in it")
    words = parser.parse_args()
    async with AsyncExitStack() as stack:
        place = stack.enter_context(directory())
        place.chmod(0o755)  # the server's own user must get through
        database = await asyncio.to_thread(
            stack.enter_context, filled((words.keep or place / "filled").absolute(), words.payments)
        )
        serving = await stack.enter_async_context(served(place, database, together=words.together))
        http = await stack.enter_async_context(http_session())
        newest = await _newest(database)
        headers = [
            {"Cookie": f"{COOKIE}={await sign_in(http, serving.console, person(number))}"}
            for number in range(max(1, words.people) + 1)
        ]
        pages = {name: path for name, path in pages_of(words.payments, newest).items() if words.like in name}
        print(f"{words.payments:,} payments of a shop; milliseconds over HTTP, {words.times} times each")
        if words.times:
            await _each("the console", Browser(http, serving.console, headers[1]), pages, words.times)
            small = {name: path for name, path in _of_the_small_shop().items() if words.like in name}
            await _each("the console, for a person of a small shop", Browser(http, serving.console, headers[0]), small,
                        words.times)  # fmt: skip
            await _each("the API", shop(http, serving.public), _api(words.payments, newest, words.like), words.times)
        if words.rounds:
            script = {"Cookie": f"{COOKIE}={await sign_in(http, serving.console, SCRIPT)}"}
            await _beside(serving, headers[1:], script, list(pages.values()), words)


async def _newest(url: str) -> datetime:
    connection = await asyncpg.connect(url)
    try:
        newest = await connection.fetchval("SELECT max(opened_at) FROM payments WHERE merchant = 'shop'")
        assert isinstance(newest, datetime)
        return newest
    finally:
        await connection.close()


def _of_the_small_shop() -> Mapping[str, str]:
    paths = ("/", "/payments", "/payments?status=failed", "/held", "/approvals", "/gateways", "/endpoints", "/events",
             "/dead-letters", "/statements", "/audit")  # fmt: skip
    return {path: path for path in paths}


def _api(payments: int, newest: datetime, like: str) -> Mapping[str, str]:
    at = newest.strftime("%Y-%m-%dT00:00:00Z")
    queries = filters(payments, at, at, at)
    return {
        f"GET /v1/payments, {name}": f"/v1/payments?{query}" for name, query in {"all": "", **queries}.items()
        if like in name and not query.startswith(f"from={at}&to")
    }  # fmt: skip


async def _each(what: str, browser: Browser, pages: Mapping[str, str], times: int) -> None:
    print(f"\n{what:46} {'status':>6} {'bytes':>8} {'first':>8} {'median':>8} {'p99':>8}  under {GOAL_MS:g}")
    for name, path in pages.items():
        taken = [await browser.take(path) for _ in range(times + 1)]
        told = spread([one.seconds * 1000 for one in taken[1:]])
        good = "yes" if told.p99 < GOAL_MS and _is_good(taken) else "NO"
        first = taken[0].seconds * 1000
        last = taken[-1]
        line = f"{name:46} {last.status:>6} {last.bytes:>8} {first:8.1f} {told.p50:8.1f} {told.p99:8.1f}  {good}"
        print(line, flush=True)


def _is_good(taken: Sequence[Taken]) -> bool:
    return all(one.status == 200 for one in taken)


async def _beside(
    serving: Served,
    headers: Sequence[Mapping[str, str]],
    script: Mapping[str, str],
    paths: Sequence[str],
    words: argparse.Namespace,
) -> None:
    print(f"\nbuyers beside {words.people} people, by turns, {words.seconds:g} s each; {LOOKS:g} look and {RETURNS:g} "
          "return a second, milliseconds")  # fmt: skip
    people = People(url=serving.console, headers=headers, paths=paths, seed=1)
    searches = [f"/payments?amount_min={amount}&amount_max={amount}" for amount in range(5_100, 5_150)]
    attack = People(url=serving.console, headers=[script] * 100, paths=[*searches, "/payments.csv"], seed=2, thinks=0.0)
    beside: dict[str, dict[str, Load]] = {
        "nobody": {},
        "people": {"their pages": people},
        "people and a script": {"their pages": people, "the script's": attack},
    }
    all_told = defaultdict[tuple[str, str], list[Answers]](list)
    for nth in range(words.rounds):
        buyers = {"port": serving.port, "payments": words.payments, "seed": nth}
        looks = Buyers(per_second=LOOKS, returns=False, **buyers)
        returns = Buyers(per_second=RETURNS, returns=True, **buyers)
        for who, others in beside.items():
            async with AsyncExitStack() as stack:
                loads = {"a look": looks, "a return": returns, **others}
                begun = {what: await stack.enter_async_context(running(load)) for what, load in loads.items()}
                await asyncio.sleep(words.seconds)
                for what, one in begun.items():
                    all_told[who, what].append(await one.over())
                    print(f"round {nth + 1}, beside {who:20} {what:13} {_told(all_told[who, what][-1:])}", flush=True)
    print()
    for (who, what), answers in all_told.items():
        print(f"all rounds, beside {who:20} {what:13} {_told(answers)}", flush=True)


def _told(answers: Sequence[Answers]) -> str:
    milliseconds = [one for each in answers for one in each.milliseconds]
    statuses = sum((Counter(each.statuses) for each in answers), Counter[str]())
    return f"{spread(milliseconds)}; {dict(statuses)}" if milliseconds else "none"


if __name__ == "__main__":
    asyncio.run(main())

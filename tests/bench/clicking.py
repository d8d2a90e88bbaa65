"""Twenty people who click through the console, and buyers who return meanwhile, each in a process of their own.

A person takes a page, thinks for a moment, and takes another. Buyers come at set times whatever the answers take, and
are counted from these times: else a slow answer would hide the buyers behind it. They come from many addresses, as
through a proxy.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import uvloop
from msgspec import Struct

from tests.bench.console_client import Browser, http_session
from tests.bench.http_load import Connection
from tests.bench.million import payment_id
from tests.harness import environment

THINKS_SECONDS = 1.0
READY_SECONDS, ENDING_SECONDS = 60.0, 10.0
ANSWER_BYTES = 2**26


class People(Struct, frozen=True, kw_only=True, tag=True):
    """People with these headers, who click through `paths` at random until they are told to stop.

    `thinks`: seconds from a page to the next one, more or less.
    """

    url: str
    headers: Sequence[Mapping[str, str]]
    paths: Sequence[str]
    seed: int
    thinks: float = THINKS_SECONDS


class Buyers(Struct, frozen=True, kw_only=True, tag=True):
    """Buyers of completed payments, so many a second. `returns`: they come back from the gateway, which is a claim.

    Else they only look again, as their page does while it waits.
    """

    port: int
    per_second: float
    payments: int
    returns: bool
    seed: int


class Answers(Struct, frozen=True):
    """Milliseconds of each answer, and how many had each status."""

    milliseconds: Sequence[float]
    statuses: Mapping[str, int]


Load = People | Buyers


class Running:
    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def over(self) -> Answers:
        """Stop it, and take its answers."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(b"stop\n")
        async with asyncio.timeout(READY_SECONDS):
            return msgspec.json.decode(await self._child.stdout.readline(), type=Answers)


@asynccontextmanager
async def running(load: Load) -> AsyncIterator[Running]:
    """The load, begun; always ended afterwards."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.bench.clicking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=ANSWER_BYTES,
        env=environment(),
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(load) + b"\n")
        async with asyncio.timeout(READY_SECONDS):
            if await child.stdout.readline() != b"begun\n":
                raise AssertionError("the load did not begin; its last words are on stderr")
        yield Running(child)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


# -- in the process ----------------------------------------------------------------------------------------------------


async def _people(load: People, stop: asyncio.Event) -> Answers:
    milliseconds, statuses = list[float](), defaultdict[str, int](int)

    async def click(browser: Browser, choose: random.Random) -> None:
        await asyncio.sleep(choose.random() * load.thinks)
        while not stop.is_set():
            taken = await browser.take(choose.choice(load.paths))
            milliseconds.append(taken.seconds * 1000)
            statuses[str(taken.status)] += 1
            await asyncio.sleep(choose.uniform(0.5, 1.5) * load.thinks)

    async with http_session() as http:
        people = enumerate(load.headers)
        clicking = [
            asyncio.create_task(click(Browser(http, load.url, headers), random.Random(load.seed + number)))
            for number, headers in people
        ]
        await stop.wait()
        _, left = await asyncio.wait(clicking, timeout=ENDING_SECONDS)
        for one in left:
            one.cancel()  # such as a long file; it is not counted
        await asyncio.gather(*clicking, return_exceptions=True)
    return Answers(milliseconds, statuses)


async def _buyers(load: Buyers, stop: asyncio.Event) -> Answers:
    milliseconds, statuses, idle = list[float](), defaultdict[str, int](int), list[Connection]()
    choose, loop, under_way, over = random.Random(load.seed), asyncio.get_running_loop(), 0, asyncio.Event()

    def freed(connection: Connection, status: str) -> None:
        nonlocal under_way
        milliseconds.append((time.perf_counter() - connection.since) * 1000)
        statuses[status] += 1
        connection.since, under_way = 0.0, under_way - 1
        idle.append(connection)
        if under_way == 0:
            over.set()

    async def send(due: float) -> None:
        nonlocal under_way
        under_way += 1
        over.clear()
        while idle and not idle[-1].open:
            idle.pop()
        if idle:
            idle.pop().send(_request(load, choose), due)
            return
        _, connection = await loop.create_connection(lambda: Connection(freed), "127.0.0.1", load.port)
        connection.send(_request(load, choose), due)

    start, nth = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            due, nth = start + nth / load.per_second, nth + 1
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(send(due))
    async with asyncio.timeout(READY_SECONDS / 2):
        await over.wait()
    return Answers(milliseconds, statuses)


def _request(load: Buyers, choose: random.Random) -> bytes:
    n = choose.randrange(20, load.payments - 1_000) // 10 * 10 + 4  # these are completed
    path = f"/return/shop-ipay/{payment_id(n)}"
    path += f"/success?orderId=S-{n}" if load.returns else "/wait"
    address = ".".join(str(choose.randrange(1, 250)) for _ in range(4))
    head = f"GET {path} HTTP/1.1\r\nHost: pay.shop.example\r\nX-Forwarded-For: {address}\r\nAccept: text/html\r\n\r\n"
    return head.encode()


async def _main() -> None:
    load, stop = msgspec.json.decode(sys.stdin.readline(), type=Load), asyncio.Event()  # type: ignore[arg-type]
    print("begun", flush=True)

    async def until_told() -> None:
        await asyncio.to_thread(sys.stdin.readline)
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(until_told())
        answers = await (_people(load, stop) if isinstance(load, People) else _buyers(load, stop))
        print(msgspec.json.encode(answers).decode(), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())

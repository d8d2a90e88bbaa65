"""SIGTERM and SIGINT while a process starts: it ends soon, in good order and in words, whatever the start waits for."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from tests.contract import ROOT
from tests.harness import System, environment
from tests.processes import directory, told_until_its_end, until
from worker.postgres.events.endpoint_rows import BEGINNING_LOCK
from worker.postgres.server.concurrent_indexes import MIGRATING_LOCK
from worker.postgres.server.migrate import apply_migrations

LAUNCHER = ROOT / "worker/launcher/payproof.py"
SECONDS = 30.0

Process = asyncio.subprocess.Process


@asynccontextmanager
async def starting(*python: str, **settings: str) -> AsyncIterator[Process]:
    """The command `serve`, as a user starts it. It is killed if it still runs at the block's end."""
    with directory() as place:
        system = System(place)
        system.configure()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", *python, str(LAUNCHER), "serve"),
            env=environment() | system.settings | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def ended(process: Process, sign: signal.Signals = signal.SIGTERM) -> str:
    """Send the signal. Returns what the process wrote until it ended, with exit code 0."""
    process.send_signal(sign)
    output, errors = await told_until_its_end(process, SECONDS)
    words = (output + errors).decode()
    assert (process.returncode, "Traceback" in words) == (0, False), words
    return words


async def line_with(stream: asyncio.StreamReader | None, word: str) -> None:
    assert stream is not None
    async with asyncio.timeout(SECONDS):
        while word not in (line := (await stream.readline()).decode()):
            assert line, f"it ended without {word}"


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a server that takes connections and says nothing, and an event that is set at the first of them."""
    connected, end = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await end.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"postgresql://payproof@127.0.0.1:{server.sockets[0].getsockname()[1]}/payproof", connected
    finally:
        end.set()
        server.close()


async def waiting(url: str, condition: str) -> None:
    """Wait until another session of this database satisfies the condition."""
    async with connected_to(url) as connection:
        await until(
            lambda: connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
                f"AND pid <> pg_backend_pid() AND {condition})"
            ),
            what=condition,
            seconds=SECONDS,
        )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_while_its_modules_are_loaded(sign: signal.Signals) -> None:
    async with silent() as (url, _), starting("-X", "importtime", PAYPROOF_DATABASE_URL=url) as process:
        await line_with(process.stderr, " rich.console\n")
        assert "told to end before it had started" in await ended(process, sign)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_while_the_database_is_silent(sign: signal.Signals) -> None:
    async with silent() as (url, connected), starting(PAYPROOF_DATABASE_URL=url) as process:
        async with asyncio.timeout(SECONDS):
            await connected.wait()
        assert "process.start_cancelled" in await ended(process, sign)


async def test_while_another_process_migrates(dsn: str) -> None:
    async with connected_to(dsn) as other:
        await other.execute(
            "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)"
        )
        await other.execute("SELECT pg_advisory_lock($1)", MIGRATING_LOCK)
        async with starting(PAYPROOF_DATABASE_URL=dsn) as process:
            await waiting(dsn, "query LIKE '%pg_try_advisory_lock%'")
            assert "process.start_cancelled" in await ended(process)


async def test_while_a_migration_waits_for_a_table(unmade: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "schemas/sql/0001_payments.sql", tmp_path)
    await apply_migrations(unmade, directory=tmp_path)
    async with connected_to(unmade) as other, other.transaction():
        await other.execute("LOCK TABLE payments")
        async with starting(PAYPROOF_DATABASE_URL=unmade) as process:
            await waiting(unmade, "wait_event_type = 'Lock'")
            assert "process.start_cancelled" in await ended(process)


async def test_while_another_process_stores_where_its_endpoints_begin(dsn: str) -> None:
    async with connected_to(dsn) as other:
        await other.execute("SELECT pg_advisory_lock($1)", BEGINNING_LOCK)
        async with starting(PAYPROOF_DATABASE_URL=dsn) as process:
            await waiting(dsn, "wait_event_type = 'Lock'")
            assert "process.start_cancelled" in await ended(process)


async def test_while_another_process_starts_the_embedded_server(tmp_path: Path) -> None:
    with (tmp_path / "postgres.start").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with starting(PAYPROOF_DATA_DIR=str(tmp_path)) as process:
            await until(
                lambda: holds(process.pid, tmp_path / "postgres.start"), what="it opens the lock", seconds=SECONDS
            )
            assert "process.start_cancelled" in await ended(process)


def holds(pid: int, path: Path) -> bool:
    return any(link.resolve() == path for link in Path(f"/proc/{pid}/fd").iterdir())


@asynccontextmanager
async def connected_to(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()

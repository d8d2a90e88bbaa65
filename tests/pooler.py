"""A private PgBouncer before a server, ended by its own process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.harness import free_ports
from tests.processes import directory

START_SECONDS = 20.0
STOP_SECONDS = 10.0
CONFIG = """\
[databases]
* = host={host} port={port} user={user}{connect_query}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
server_round_robin = {in_turn}
"""


@contextmanager
def pooler(url: str, mode: str, *, in_turn: int = 0, connect_query: str | None = None) -> Iterator[str]:
    """The URL of the same database through a pooler; `url` is of a server that is reached by its socket. Blocks.

    `in_turn`: 1 where it lends all of its sessions in turn, 0 where it lends the last returned session again.
    `connect_query`: run in each session of the server before it is lent.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    (listen,) = free_ports(1)
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise AssertionError("there is no pgbouncer; deploy/dev test installs it")
    with directory() as place:
        host, port = query["host"][0], query["port"][0]
        config = place / "pgbouncer.ini"
        query = "" if connect_query is None else f" connect_query='{connect_query}'"
        names = {"host": host, "port": port, "user": parts.username, "connect_query": query}
        config.write_text(CONFIG.format(**names, listen=listen, mode=mode, in_turn=in_turn))
        place.chmod(0o755)
        owner = Path(host).stat()  # PgBouncer refuses root: the socket's owner runs it
        as_root = os.geteuid() == 0
        with (place / "pgbouncer.log").open("wb") as log:
            process = subprocess.Popen(
                [program, str(config)],
                stdout=log,
                stderr=log,
                user=owner.st_uid if as_root else None,
                group=owner.st_gid if as_root else None,
                extra_groups=[] if as_root else None,
            )
        try:
            _wait(process, listen, place / "pgbouncer.log")
            yield f"postgresql://{parts.username}@127.0.0.1:{listen}{parts.path}"
        finally:
            process.kill()
            process.wait(STOP_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"pgbouncer did not come up: {log.read_text(errors='replace')}") from None
            time.sleep(0.02)
        else:
            return

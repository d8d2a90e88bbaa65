"""Logging: `noun.verbed` events with ids and reasons, one line each, to stderr; libraries' logs go the same way.

An exception's message may hold a buyer's data: a database error quotes the row, an HTTP error the request. So only the
type of an exception and the places that it passed are logged. The arguments of libraries' messages are not logged
either: aiohttp's are whole requests, aio-pika's are URLs with passwords.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO
from uuid import UUID

import msgspec
import structlog
from aiohttp.http import HttpProcessingError
from structlog.typing import EventDict, Processor, WrappedLogger

PRIVATE_WORDS = frozenset(
    {
        *("address", "apikey", "authorization", "body", "cookie", "cookies", "credentials", "customer", "dsn", "email"),
        *("evidence", "form", "headers", "metadata", "password", "payload", "phone", "query", "secret", "secrets"),
        *("signature", "token"),
    }
)
"""A key that has one of these among its words (`customer_phone`) is dropped, with any value. So is `api_key`."""
LONGEST_TEXT = 500
MOST_BITS = 500
"""A longer whole number is logged as the name of its type: Python refuses to write very many digits."""
LONGEST_TRACE = 20
MOST_ITEMS = 8
"""A longer list is shown to a person by its ends."""
_ROOT = str(Path(__file__).resolve().parents[2])
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")


def configure(kind: Literal["json", "console"], *, stream: TextIO | None = None) -> None:
    """Set up structlog, standard logging and the log of a crash, for this process. May be called again.

    `json` is one object a line, with times in UTC. `console` is for a person at a terminal, with this machine's times.
    """
    out = stream or sys.stderr
    shown: Processor = (
        structlog.processors.JSONRenderer(_json)
        if kind == "json"
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty(), sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True)
            if kind == "json"
            else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            _trace,
            _guard,
            *([] if kind == "json" else [_for_a_person]),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    sys.excepthook = _crash


class _Libraries(logging.Handler):
    """Logs of libraries: the first line of the message's template, never its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        said = str(record.msg).partition("\n")[0]
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):  # any stranger can send bytes that are no HTTP: no error of ours
            log.warning("request.unreadable", library=record.name, error=type(error).__name__)
            return
        if record.name.startswith(("aiormq", "aio_pika")):  # the broker went away; our own logs tell its effect
            kind = None if error is None else type(error).__name__
            log.warning("third_party.log", library=record.name, said=said, error=kind)
            return
        log.log(record.levelno, "third_party.log", library=record.name, said=said, exc_info=record.exc_info or None)


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.crashed", exc_info=(kind, error, trace))


def _trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the types and places of an exception, of its causes and of its group's members under `exception`."""
    given = event.pop("exc_info", None)
    error = sys.exception() if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_traceback_lines(error, ""))
    return event


def _traceback_lines(error: BaseException, indent: str) -> Iterator[str]:
    yield f"{indent}{type(error).__module__}.{type(error).__qualname__}".replace("builtins.", "")
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    for code, line in frames[-LONGEST_TRACE:]:
        yield f"{indent}  {_place(code.co_filename)}:{line} in {code.co_name}"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _traceback_lines(member, f"{indent}  | ")
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield f"{indent}because of"
        yield from _traceback_lines(cause, indent)


def _place(filename: str) -> str:
    _, _, library = filename.rpartition("site-packages/")
    return library.removeprefix(_ROOT).lstrip("/") if library.startswith(_ROOT) else library


def _guard(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last guard: drop private keys, and replace each value that is not plain by the name of its type."""
    exception = event.pop("exception", None)
    kept = {key: _plain(value) for key, value in event.items() if not _private(key)}
    if len(kept) < len(event):
        kept["dropped"] = sorted(key for key in event if _private(key))
    if exception is not None:
        kept["exception"] = exception
    return kept


def _for_a_person(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Lists without brackets and quotes, long ones by their ends, and nothing of what is empty."""
    return {
        key: _few(value) if isinstance(value, list) else value
        for key, value in event.items()
        if value is not None and value != []
    }


def _few(items: Sequence[Any]) -> str:
    if len(items) > MOST_ITEMS:
        return f"{items[0]} to {items[-1]} ({len(items)})"
    return ", ".join(map(str, items))


@lru_cache(1024)
def _private(key: object) -> bool:
    words = re.split(r"[^a-z]+", str(key).lower())
    return not PRIVATE_WORDS.isdisjoint(words) or ("api" in words and "key" in words)


def _json(event: EventDict, **_: Any) -> str:
    """One line.

    A value that msgspec refuses (half an emoji, a number of more than 64 bits) is written by the slower json.
    """
    try:
        return msgspec.json.encode(event).decode()
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(event)


def _plain(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int() if value.bit_length() <= MOST_BITS:
            return int(value)  # msgspec refuses a subclass
        case float():
            return float(value)
        case Enum():
            return _plain(value.value)
        case str():
            # Before the text is cut: a password that lost its @ would not be found.
            whole = _CREDENTIALS.sub("***@", value) if "://" in value else value
            return whole[:LONGEST_TEXT]
        case Decimal() | date() | timedelta() | UUID() | Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items() if not _private(key)}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
    return f"<{type(value).__name__}>"

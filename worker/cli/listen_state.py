"""What `payproof listen` keeps between its runs: a webhook secret for each service, and a position for each receiver.

One file for each service URL, in the user's state directory, readable by the user alone. A configuration for
development has a secret of its own, and then none is kept. A position is a cursor and the events behind it that the
receiver has taken: a page of the log has many events and one cursor.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from worker.cli.command_errors import CommandFailed
from worker.config.env_file import NAME
from worker.config.keys import is_webhook_secret, new_webhook_secret
from worker.runtime.whole_file import replacing


class Seen(Struct, frozen=True):
    """A page that was read: of so many `events` after a cursor, `last` is the id of the last one."""

    after: str
    events: int
    last: str


class Position(Struct, frozen=True):
    """`taken` are the ids of events after `cursor` that need not be sent again; `seen` is by what its log is known."""

    cursor: str
    taken: tuple[str, ...] = ()
    seen: Seen | None = None


class _Kept(Struct, frozen=True):
    url: str
    secret: str | None = None
    positions: dict[str, Position] = {}


def state_directory(environ: Mapping[str, str]) -> Path:
    """The directory of the XDG Base Directory specification, else `~/.local/state`."""
    given = Path(environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".local" / "state") / "payproof" / "listen"


class ListenState:
    """The file of one service, from `opened`. `secret` signs, and `secret_in` is where it stands; `new`: drawn now."""

    def __init__(self, path: Path, kept: _Kept, secret: str, secret_in: str, *, new: bool) -> None:
        self.path, self.secret, self.secret_in, self.new = path, secret, secret_in, new
        self._kept = kept

    def position(self, reader: str) -> Position | None:
        return self._kept.positions.get(reader)

    def keep(self, reader: str, position: Position) -> None:
        """Store the position, so that it is the former or the new one wherever this ends."""
        with _locked(self.path):  # of another receiver's listen, which wrote since
            kept = _read(self.path) or self._kept
            self._kept = msgspec.structs.replace(kept, positions={**kept.positions, reader: position})
            _write(self.path, self._kept)


def opened(directory: Path, url: str, secret: str | None = None) -> ListenState:
    """The state of the service at this URL. Without a `secret` of `.env` it is the one kept here, drawn where none is.

    Raises CommandFailed and OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{sha256(url.encode()).hexdigest()[:16]}.json"
    with _locked(path):
        kept = _read(path) or _Kept(url)
        if secret is not None:
            return ListenState(path, kept, secret, NAME, new=False)
        if kept.secret is not None:
            return ListenState(path, kept, kept.secret, str(path), new=False)
        drawn = new_webhook_secret()
        kept = msgspec.structs.replace(kept, secret=drawn)
        _write(path, kept)
        return ListenState(path, kept, drawn, str(path), new=True)


@contextmanager
def alone(directory: Path, reader: str) -> Iterator[None]:
    """Hold the receiver's lock, which the kernel drops with the process. Raises CommandFailed where another has it."""
    path = directory / f"{sha256(reader.encode()).hexdigest()[:16]}.lock"
    with open(path, "w", opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(f"another payproof listen forwards the same events there ({path} is locked)") from None
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path.with_suffix(".writing"), "w", opener=_private) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: Path) -> _Kept | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CommandFailed(f"{path} cannot be read; remove it to begin anew, with a new secret") from None
    if kept.secret is not None and not is_webhook_secret(kept.secret):
        raise CommandFailed(f"{path} has no secret that can sign; remove it to begin anew, with a new secret")
    return kept


def _write(path: Path, kept: _Kept) -> None:
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")

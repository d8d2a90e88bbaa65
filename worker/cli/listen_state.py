"""What `payproof listen` keeps between its runs: a webhook secret for each service, and a position for each receiver.

One file for each service URL, in the user's state directory, readable by the user alone. A position is a cursor and the
events behind it that the receiver has taken: a page of the log has many events and one cursor.
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
from worker.config.keys import new_webhook_secret
from worker.runtime.whole_file import replacing


class Position(Struct, frozen=True):
    """`taken` are the ids of events after `cursor` that need not be sent again."""

    cursor: str
    taken: tuple[str, ...] = ()


class _Kept(Struct, frozen=True):
    url: str
    secret: str
    positions: dict[str, Position] = {}


def state_directory(environ: Mapping[str, str]) -> Path:
    """The directory of the XDG Base Directory specification, else `~/.local/state`."""
    given = Path(environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".local" / "state") / "payproof" / "listen"


class ListenState:
    """The file of one service. Opened with `opened`, which also makes it."""

    def __init__(self, path: Path, kept: _Kept, *, new: bool) -> None:
        self.path, self.new = path, new
        self._kept = kept

    @property
    def secret(self) -> str:
        return self._kept.secret

    def position(self, reader: str) -> Position | None:
        return self._kept.positions.get(reader)

    def keep(self, reader: str, position: Position) -> None:
        """Store the position, so that it is the former or the new one wherever this ends."""
        with _locked(self.path):  # of another receiver's listen, which wrote since
            kept = _read(self.path) or self._kept
            self._kept = msgspec.structs.replace(kept, positions={**kept.positions, reader: position})
            _write(self.path, self._kept)


def opened(directory: Path, url: str) -> ListenState:
    """The state of the service at this URL, made with a new secret where there is none.

    Raises CommandFailed and OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{sha256(url.encode()).hexdigest()[:16]}.json"
    with _locked(path):
        kept = _read(path)
        if kept is not None:
            return ListenState(path, kept, new=False)
        made = _Kept(url, new_webhook_secret())
        _write(path, made)
        return ListenState(path, made, new=True)


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
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CommandFailed(f"{path} cannot be read; remove it to begin anew, with a new secret") from None


def _write(path: Path, kept: _Kept) -> None:
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")

"""Where a configured secret comes from: the environment, a file, or the text itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from schemas.secret import Secret


class SecretError(ValueError):
    """The secret cannot be read. The message names the variable or file, and holds nothing of the secret."""


class Secrets:
    """Resolves configured secrets. `file:` paths are relative to the directory of the configuration file."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory

    def resolve(self, written: str) -> tuple[Secret, bool]:
        """The secret, and whether it is written in the configuration itself. Raises SecretError."""
        scheme, _, rest = written.partition(":")
        if scheme == "env":
            text = self._variable(rest)
        elif scheme == "file":
            text = self._file(rest)
        else:
            text = written
        if not text:
            raise SecretError("is empty")
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
            raise SecretError("holds a line break or another control character")
        return Secret(text), scheme not in ("env", "file")

    def _variable(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise SecretError("after env: stands the name of an environment variable")
        text = self._environ.get(name)
        if text is None:
            raise SecretError(f"the environment variable {name} is not set")
        if not text:
            raise SecretError(f"the environment variable {name} is empty")
        return text

    def _file(self, name: str) -> str:
        if not name or "\x00" in name:
            raise SecretError("after file: stands the path of a file")
        try:
            text = (self._directory / name).expanduser().read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise SecretError(f"the file {name} is not UTF-8 text") from None
        except OSError as error:
            raise SecretError(f"the file {name} cannot be read: {error.strerror}") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise SecretError(f"the file {name} is empty")
        return text

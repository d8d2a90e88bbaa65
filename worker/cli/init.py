"""`payproof init`: a commented configuration to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def starter() -> str:
    """The text of the starter configuration."""
    return (files("worker.cli") / "starter.toml").read_text(encoding="utf-8")


def write_starter(path: Path) -> None:
    """Write the starter configuration, readable by its owner alone. Raises FileExistsError and never overwrites."""
    with path.open("x", encoding="utf-8") as file:
        path.chmod(0o600)
        file.write(starter())

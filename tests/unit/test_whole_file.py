"""Files of the commands on a disk that takes no byte more: what was there stays, nothing is left behind."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.cli.configured import write_starter
from worker.cli.listen_state import Position, opened
from worker.cli.write_statement import write_map
from worker.playground.dev.starting_files import write_starting_files
from worker.runtime.whole_file import replacing

CONFIG = '[[merchants]]\nid = "shop"\n[[merchants.accounts]]\nid = "shop-ipay"\n'
MAP = '[merchants.accounts.statement]\nreference = "Order"\n'


@contextmanager
def full_disk() -> Iterator[None]:
    """The kernel refuses every byte of a file to this process, without the file's name, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def replace_it(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"new")


@pytest.mark.parametrize("write", [replace_it, lambda path: write_map(path, "shop-ipay", MAP)])
def test_a_file_that_cannot_be_replaced_stays_as_it_is(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "payproof.toml"
    path.write_text(CONFIG)
    with full_disk(), pytest.raises(OSError, match="File too large") as refused:
        write(path)
    assert refused.value.filename == str(path)
    assert path.read_text() == CONFIG
    assert list(tmp_path.iterdir()) == [path]
    write(path)
    assert path.read_text() != CONFIG


def test_a_place_that_cannot_be_stored_is_the_one_before_and_the_error_names_its_file(tmp_path: Path) -> None:
    state = opened(tmp_path, "http://127.0.0.1:8080")
    state.keep("shop", Position("before"))
    with full_disk(), pytest.raises(OSError, match="File too large") as refused:
        state.keep("shop", Position("after"))
    assert refused.value.filename == str(state.path)
    assert opened(tmp_path, "http://127.0.0.1:8080").position("shop") == Position("before")
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".writing"}


@pytest.mark.parametrize("write", [write_starter, lambda path: write_starting_files(path, "http://127.0.0.1:8090")])
def test_a_configuration_that_cannot_be_written_is_not_there_by_half(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "payproof.toml"
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write(path)
    assert list(tmp_path.iterdir()) == []
    write(path)
    assert path.exists()

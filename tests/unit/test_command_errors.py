"""The sentence with which a command ends."""

from __future__ import annotations

import errno
from io import StringIO

import pytest
from rich.console import Console

from worker.cli.command_errors import CommandFailed, explain_failure


def told(error: Exception) -> str:
    out = StringIO()
    assert explain_failure(error, Console(file=out, width=200)) == 1
    return out.getvalue()


def test_a_strangers_codes_for_the_terminal_are_not_printed_and_our_lines_stay() -> None:
    assert told(CommandFailed("first: \x1b]0;title\x07\x9b2J\u202e\rover\nsecond")) == (
        "first: \ufffd]0;title\ufffd\ufffd2J\ufffd over\nsecond\n"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO])
def test_what_a_disk_refuses_is_not_called_the_database(number: int) -> None:
    said = told(OSError(number, "the disk's words"))
    assert said == "cannot write: the disk's words\n"

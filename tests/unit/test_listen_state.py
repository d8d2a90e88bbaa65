"""What `payproof listen` keeps between its runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.cli.command_errors import CommandFailed
from worker.cli.listen_state import Position, opened
from worker.config.keys import is_webhook_secret, new_webhook_secret

URL = "http://127.0.0.1:8080"


def test_a_secret_is_drawn_once_and_only_where_none_is_given(tmp_path: Path) -> None:
    given = new_webhook_secret()
    state = opened(tmp_path, URL, given)
    state.keep("shop", Position("place"))
    assert (state.secret, state.secret_in, state.new) == (given, ".env", False)
    assert given not in state.path.read_text()
    drawn = opened(tmp_path, URL)
    assert (is_webhook_secret(drawn.secret), drawn.new, drawn.secret_in) == (True, True, str(drawn.path))
    assert drawn.position("shop") == Position("place")
    again = opened(tmp_path, URL)
    assert (again.secret, again.new) == (drawn.secret, False)


@pytest.mark.parametrize("secret", ["whsec_", "x", "whsec_c2hvcnQ="])
def test_a_secret_that_cannot_sign_is_refused_with_its_file(tmp_path: Path, secret: str) -> None:
    path = opened(tmp_path, URL).path
    path.write_text(path.read_text().replace(opened(tmp_path, URL).secret, secret))
    with pytest.raises(CommandFailed, match="has no secret that can sign; remove it") as refused:
        opened(tmp_path, URL)
    assert str(path) in str(refused.value)

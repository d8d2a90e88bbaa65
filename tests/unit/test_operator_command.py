"""`payproof operator`: the lines that it prints are an operator who can sign in, and nothing is kept."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.test_config import GOOD, read
from worker.cli import main
from worker.console.passwords import NOBODYS, Passwords, hash_password, otpauth_uri, step_of

PASSWORD = "a long pass phrase"


def run(monkeypatch: pytest.MonkeyPatch, typed: str, *words: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with pytest.raises(SystemExit) as ended:
        main(["operator", *words])
    return int(ended.value.code or 0)


def stored(place: Path) -> list[Path]:
    return list(place.iterdir())


async def test_its_lines_are_an_operator_who_can_sign_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("rahima.khan@shop", "--role", "approver", "--merchant", "shop")
    assert run(monkeypatch, f"{PASSWORD}\n{PASSWORD}\n", *words) == 0
    assert stored(tmp_path) == []
    out = capsys.readouterr().out
    assert PASSWORD not in out
    lines, _, rest = out.partition("\n\n")
    (line,) = [one for one in rest.splitlines() if one.startswith("PAYPROOF_TOTP_RAHIMA_KHAN_SHOP=")]
    variable, secret = line.split("=", 1)
    config = read(tmp_path, f'{GOOD}[console]\nsecond_person_from = "never"\n{lines}\n', **{variable: secret})
    (operator,) = config.console.operators
    assert (operator.name, operator.role, operator.merchants) == ("rahima.khan@shop", "approver", ("shop",))
    assert operator.password is not None
    assert await Passwords().right(PASSWORD, operator.password.reveal())
    assert not await Passwords().right(PASSWORD + " ", operator.password.reveal())
    assert operator.totp_key is not None
    assert otpauth_uri(operator.name, operator.totp_key, "Payproof") in rest
    assert config.literal_secrets == ()


@pytest.mark.parametrize(
    ("typed", "name", "code"),
    [
        (f"{PASSWORD}\nanother one\n", "rahima", 1),
        ("short\nshort\n", "rahima", 1),
        ("", "rahima", 1),
        (f"{PASSWORD}\n{PASSWORD}\n", "two words", 2),
        (f"{PASSWORD}\n{PASSWORD}\n", 'ra"hima', 2),
    ],
    ids=["they differ", "too short", "none", "a name with a space", "a name that would end its text"],
)
def test_what_it_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, name: str, code: int
) -> None:
    assert run(monkeypatch, typed, name, "--role", "viewer") == code
    assert "argon2id" not in capsys.readouterr().out


async def test_a_hash_of_nobody_costs_what_a_new_one_costs_and_fits_no_password() -> None:
    assert NOBODYS.rsplit("$", 2)[0] == hash_password("any").rsplit("$", 2)[0]
    assert not await Passwords().right("", None)
    assert not await Passwords().right("x" * 5_000, None)


@pytest.mark.parametrize(("seconds", "found"), [(59, 1), (89, 1), (29, 1), (28, 1), (90, None), (-1, None)])
def test_a_code_counts_in_its_half_minute_and_one_before_and_after(seconds: int, found: int | None) -> None:
    """RFC 6238's own example: at 59 s the code is 94287082, of which six digits are shown."""
    now = datetime.fromtimestamp(seconds, UTC)
    assert step_of("287 082", b"12345678901234567890", now) == found

"""`[console]`: who may sign in, and that two people decide where the shop says so."""

from __future__ import annotations

import base64
import os
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from schemas.secret import ElsewhereSecret
from tests.unit.test_config import ENVIRON, GOOD, PROVIDERS, problems, read
from worker.config import load
from worker.config.operators import Operators
from worker.ops.doctor.findings import console_findings

MEMORY = 8 * 1024


def password_hash(password: str = "a password", memory: int = MEMORY) -> str:
    salt = os.urandom(16)
    return Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=memory).derive_phc_encoded(
        password.encode()
    )


def totp(byte: bytes = b"k") -> str:
    return base64.b32encode(byte * 20).decode()


def operator(name: str, role: str = "approver", **values: str) -> str:
    lines = {"password": f"'{password_hash()}'", "totp": f'"{totp(name[-1].encode())}"', **values}
    keys = "\n".join(f"{key} = {value}" for key, value in lines.items() if value)
    return f'[[console.operators]]\nname = "{name}"\nrole = "{role}"\n{keys}\n'


PAIR = operator("rahim") + operator("karima")
OTHER = '[[merchants]]\nid = "other"\napi_keys = ["env:OTHER_API_KEY"]\n'


def test_without_operators_nobody_is_in_the_console_and_one_person_decides(tmp_path: Path) -> None:
    console = read(tmp_path, GOOD).console
    assert console.operators == ()
    assert console.second_person_limit is None


def test_with_operators_two_people_decide_from_the_first_taka(tmp_path: Path) -> None:
    console = read(tmp_path, GOOD + PAIR).console
    assert console.second_person_limit == Decimal("0.00")
    rahim = console.operator("Rahim")
    assert rahim is not None
    assert rahim.sees("shop")
    assert rahim.totp_key == b"m" * 20


@pytest.mark.parametrize("written", ["5000", "5000.50"])
def test_the_limit_is_the_amount_as_it_is_written(tmp_path: Path, written: str) -> None:
    console = read(tmp_path, f'{GOOD}[console]\nsecond_person_from = "{written}"\n{PAIR}').console
    assert console.second_person_limit == Decimal(written)


def test_a_shop_of_one_person_says_never(tmp_path: Path) -> None:
    text = f'{GOOD}[console]\nsecond_person_from = "never"\n{operator("rahim")}'
    assert read(tmp_path, text).console.second_person_limit is None


@pytest.mark.parametrize(
    "operators",
    [
        operator("rahim"),
        operator("rahim") + operator("karima", "operator"),
        operator("rahim") + operator("karima", merchants='["other"]'),
    ],
    ids=["alone", "one of them proposes only", "of another merchant"],
)
def test_two_people_are_needed_who_could_approve_for_each_merchant(tmp_path: Path, operators: str) -> None:
    found = problems(tmp_path, GOOD + OTHER + operators)
    assert list(found) == ["console.second_person_from"]
    assert "shop" in found["console.second_person_from"]
    assert '"never"' in found["console.second_person_from"]


@pytest.mark.parametrize("written", ["0.001", "-1", "Never", "1e3", "", "৫"])
def test_another_limit_is_refused(tmp_path: Path, written: str) -> None:
    found = problems(tmp_path, f'{GOOD}[console]\nsecond_person_from = "{written}"\n{PAIR}')
    assert list(found) == ["console.second_person_from"]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"password": ""}, "password"),
        ({"password": '"a password in clear"'}, "password"),
        ({"password": "'$argon2i$v=19$m=65536,t=3,p=1$c29tZXNhbHRzYWx0$c29tZWhhc2hzb21laGFzaHNvbWVoYXNo'"}, "password"),
        ({"password": "'$argon2id$v=19$m=999999999,t=3,p=1$c29tZXNhbHRzYWx0$c29tZWhhc2hzb21laGFzaA'"}, "password"),
        ({"totp": ""}, "totp"),
        ({"totp": '"GEZDGNBV"'}, "totp"),
        ({"totp": '"not base 32 at all, is it"'}, "totp"),
        ({"merchants": '["shop", "none"]'}, "merchants[1]"),
        ({"merchants": "[]"}, "merchants"),
        ({"roll": '"approver"'}, "roll"),
    ],
)
def test_an_operator_who_could_not_sign_in_is_refused_at_the_key(
    tmp_path: Path, values: dict[str, str], key: str
) -> None:
    found = problems(tmp_path, GOOD + PAIR + operator("third", **values))
    assert list(found) == [f"console.operators[2].{key}"]


@pytest.mark.parametrize("name", ["", "two words", "-rahim", "রহিম", "a" * 101])
def test_a_name_can_be_typed_and_stand_in_a_header(tmp_path: Path, name: str) -> None:
    assert "console.operators[2].name" in problems(tmp_path, GOOD + PAIR + operator("x").replace('"x"', f'"{name}"'))


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + PAIR + operator("third", "aprover"))
    assert 'did you mean "approver"?' in found["console.operators[2].role"]


def test_each_person_has_a_name_a_password_and_a_code_of_their_own(tmp_path: Path) -> None:
    same = {"password": f"'{password_hash()}'", "totp": f'"{totp()}"'}
    found = problems(tmp_path, GOOD + operator("rahim", **same) + operator("karima") + operator("RAHIM", **same))
    assert set(found) == {f"console.operators[2].{key}" for key in ("name", "password", "totp")}


def test_behind_an_identity_proxy_a_password_is_not_needed_and_a_code_for_decisions_is(tmp_path: Path) -> None:
    proxy = '[console.proxy]\nheader = "X-Forwarded-User"\npeers = ["10.0.0.5", "10.1.0.0/24"]\n'
    pair = operator("rahim", password="") + operator("karima", password="")
    viewer = operator("guest", "viewer", password="", totp="")
    console = read(tmp_path, GOOD + proxy + pair + viewer).console
    assert console.proxy is not None
    assert [str(network) for network in console.proxy.networks] == ["10.0.0.5/32", "10.1.0.0/24"]
    assert list(problems(tmp_path, GOOD + proxy + pair + operator("third", password="", totp=""))) == [
        "console.operators[2].totp"
    ]


@pytest.mark.parametrize("peer", ["proxy.local", "10.0.0.5/24", "0.0.0.0/0", "::/0"])
def test_a_proxy_is_believed_from_named_addresses_alone(tmp_path: Path, peer: str) -> None:
    proxy = f'[console.proxy]\nheader = "X-Forwarded-User"\npeers = ["{peer}"]\n'
    assert list(problems(tmp_path, GOOD + proxy + PAIR)) == ["console.proxy.peers[0]"]


def test_a_hash_may_stand_in_the_file_and_a_code_secret_there_is_told(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + PAIR + operator("third", totp='"env:TOTP"'), TOTP=totp(b"3"))
    assert config.literal_secrets == ("console.operators[0].totp", "console.operators[1].totp")


def test_only_the_console_needs_the_operators_secrets(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    path.write_text(GOOD + PAIR + operator("third", password='"env:NONE"', totp='"env:NONE"'))
    environ = {**ENVIRON, "PAYPROOF_CONFIG": str(path)}
    third = load(environ, roles=("consume",), providers=PROVIDERS).console.operators[2]
    assert isinstance(third.totp, ElsewhereSecret)
    assert isinstance(third.password, ElsewhereSecret)
    found = problems(tmp_path, path.read_text())
    assert set(found) == {"console.operators[2].password", "console.operators[2].totp"}


@pytest.mark.parametrize(
    ("environ", "mark"),
    [
        ({}, "ok"),
        ({"PAYPROOF_CONSOLE_LISTEN": "0.0.0.0:8070"}, "!!"),
        ({"PAYPROOF_CONSOLE_LISTEN": "0.0.0.0:8070", "PAYPROOF_TRUSTED_PROXIES": "10.0.0.1"}, "ok"),
    ],
)
def test_the_doctor_says_where_the_console_is(tmp_path: Path, environ: dict[str, str], mark: str) -> None:
    (found,) = console_findings(read(tmp_path, GOOD + PAIR, **environ))
    assert found.mark == mark
    assert found.words.startswith("2 operators, on ")
    assert list(console_findings(read(tmp_path, GOOD, **environ))) == []


def test_operators_are_read_anew_and_a_broken_configuration_changes_nothing(tmp_path: Path) -> None:
    operators = Operators(read(tmp_path, GOOD + PAIR).console)
    operators.read_anew(lambda: read(tmp_path, GOOD + PAIR + operator("third", "viewer")))
    assert operators.named("Third") is not None
    operators.read_anew(lambda: read(tmp_path, GOOD + operator("alone")))
    assert operators.named("third") is not None
    operators.read_anew(lambda: read(tmp_path, GOOD + PAIR))
    assert operators.named("third") is None

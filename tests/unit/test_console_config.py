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
from worker.config import ConfigError, load
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


def provider(**values: str) -> str:
    lines = {
        "issuer": '"https://login.example.com/realms/shop"',
        "client_id": '"payproof"',
        "client_secret": '"env:OIDC_SECRET"',
        **values,
    }
    return "[console.oidc]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


BARE = operator("rahim@shop.example", password="", totp="") + operator("karima@shop.example", password="", totp="")


def test_with_a_provider_an_operator_needs_no_secret_here(tmp_path: Path) -> None:
    console = read(tmp_path, GOOD + provider() + BARE, OIDC_SECRET="s3cret").console
    assert console.oidc is not None
    assert console.oidc.client_secret.reveal() == "s3cret"
    assert (console.oidc.claim, console.oidc.scope, console.oidc.host) == ("email", "openid email", "login.example.com")
    assert "s3cret" not in repr(console)


@pytest.mark.parametrize(
    "issuer", ["http://localhost:9000", "http://127.0.0.1:9000/realms/shop", "https://[2001:db8::1]"]
)
def test_an_issuer_by_https_or_on_loopback(tmp_path: Path, issuer: str) -> None:
    read(tmp_path, GOOD + provider(issuer=f'"{issuer}"') + BARE, OIDC_SECRET="s3cret")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": '"http://login.example.com"'}, "issuer"),
        ({"issuer": '"login.example.com"'}, "issuer"),
        ({"issuer": '"https://login.example.com/?realm=shop"'}, "issuer"),
        ({"issuer": '"https://user@login.example.com"'}, "issuer"),
        ({"issuer": '"https://login.example.com/#shop"'}, "issuer"),
        ({"client_id": '""'}, "client_id"),
        ({"client_id": '"two words"'}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": '"env:NONE"'}, "client_secret"),
        ({"claim": '"name"'}, "claim"),
        ({"scopes": '"openid"'}, "scopes"),
    ],
)
def test_a_provider_that_cannot_be_used_is_refused_at_the_key(tmp_path: Path, values: dict[str, str], key: str) -> None:
    found = problems(tmp_path, GOOD + provider(**values) + PAIR, OIDC_SECRET="s3cret")
    assert list(found) == [f"console.oidc.{key}"]


def test_a_provider_and_a_proxy_do_not_both_sign_people_in(tmp_path: Path) -> None:
    proxy = '[console.proxy]\nheader = "X-Forwarded-User"\npeers = ["10.0.0.5"]\n'
    found = problems(tmp_path, GOOD + proxy + provider() + PAIR, OIDC_SECRET="s3cret")
    assert list(found) == ["console.oidc"]
    assert "console.proxy" in found["console.oidc"]


def test_a_password_needs_a_code_with_a_provider_too(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + provider() + PAIR + operator("third", totp=""), OIDC_SECRET="s3cret")
    assert list(found) == ["console.operators[2].totp"]


def test_a_client_secret_in_the_file_is_told_and_only_the_console_needs_it(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + provider(client_secret='"s3cret"') + BARE)
    assert config.literal_secrets == ("console.oidc.client_secret",)
    path = tmp_path / "payproof.toml"
    path.write_text(GOOD + provider() + BARE)
    oidc = load({**ENVIRON, "PAYPROOF_CONFIG": str(path)}, roles=("consume",), providers=PROVIDERS).console.oidc
    assert oidc is not None
    assert isinstance(oidc.client_secret, ElsewhereSecret)


def test_without_the_extra_the_console_is_refused_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "payproof.toml"
    path.write_text(GOOD + provider() + BARE)
    environ = {**ENVIRON, "PAYPROOF_CONFIG": str(path), "OIDC_SECRET": "s3cret"}
    load(environ, roles=("console",), providers=PROVIDERS)
    monkeypatch.setattr("worker.config.oidc.EXTRA", ("authlib", "no_such_package"))
    with pytest.raises(ConfigError) as caught:
        load(environ, roles=("ingress", "console"), providers=PROVIDERS)
    (problem,) = caught.value.problems
    assert problem.path == "console.oidc"
    assert "pip install 'payproof[oidc]'" in problem.message
    load(environ, roles=("ingress",), providers=PROVIDERS)
    load(environ, providers=PROVIDERS)


def test_a_limit_that_is_read_anew_is_that_of_the_start(tmp_path: Path) -> None:
    """Every other process decides by the limit that it started with."""
    operators = Operators(read(tmp_path, GOOD + PAIR).console)
    limit = operators.console.second_person_limit
    raised = f'{GOOD}[console]\nsecond_person_from = "5000.00"\n{PAIR}{operator("third", "viewer")}'
    operators.read_anew(lambda: read(tmp_path, raised))
    assert operators.named("third") is not None
    assert operators.console.second_person_limit == limit

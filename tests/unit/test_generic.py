"""A gateway from a table: the guide's tables load, and what a table cannot express is refused in words."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.account import Account
from consumers.ports.openings import OpeningRefused
from consumers.providers.generic import Generic
from schemas.secret import Secret
from schemas.words import Id
from worker.config import load

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy/guide/gateway.md").read_text(encoding="utf-8")
TABLES: dict[str, Any] = {
    account["id"]: {key: value for key, value in account.items() if key not in ("id", "provider")}
    for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    for account in tomllib.loads(block)["merchants"]["accounts"]
}
PAYSTATION, ZINIPAY = TABLES["shop-paystation"], TABLES["shop-zinipay"]


def made(table: Any) -> Generic:
    return msgspec.convert(table, Generic, dec_hook=lambda _, text: Secret(text))


def with_changes(table: Any, **changes: dict[str, Any]) -> Any:
    """The table with keys of its inner tables replaced; None takes a key out."""
    changed = dict(table)
    for name, keys in changes.items():
        inner = table.get(name, {}) | keys
        changed[name] = {key: value for key, value in inner.items() if value is not None}
    return changed


def configured(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "payproof.toml"
    path.write_text(f'[[merchants]]\nid = "shop"\napi_keys = ["{"k" * 24}"]\n{text}', encoding="utf-8")
    return path


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL))
def test_each_table_of_the_guide_loads_as_it_stands(text: str, tmp_path: Path) -> None:
    names = dict.fromkeys(re.findall(r'"env:([A-Z_]+)"', text), "given")
    (account,) = load(names | {"PAYPROOF_CONFIG": str(configured(tmp_path, text))}).accounts
    assert account.provider.name == "generic"
    assert Id.REFERENCE in account.provider.capabilities.always


@pytest.mark.parametrize("name", ["paystation", "zinipay", "rupantorpay"])
def test_the_fixtures_are_about_the_tables_of_the_guide(name: str) -> None:
    for path in (ROOT / "tests/fixtures/generic").glob(f"{name}_*.json"):
        config = msgspec.json.decode(path.read_bytes())["config"]
        assert without_values(config) == without_values(TABLES[f"shop-{name}"]), path.stem


def without_values(table: Any) -> Any:
    """The table with its secrets' names alone."""
    if not isinstance(table, dict):
        return table
    return {
        key: sorted(value) if key in ("headers", "secrets") else without_values(value) for key, value in table.items()
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"create": {"checkout_url": "payment_url"}}, "checkout_url is no JSON pointer"),
        ({"create": {"session_id": "id"}}, "session_id is no JSON pointer"),
        ({"create": {"path": "initiate"}}, "path"),
        ({"create": {"method": "GET"}}, "unknown field"),
        ({"create": {"headers": {"Content-Type": "text/plain"}}}, "headers.Content-Type is no header that can be set"),
        ({"create": {"headers": {"a b": "c"}}}, "headers.a b is no header that can be set"),
        ({"create": {"fixed": {"invoice_number": "1"}}}, "names send invoice_number twice"),
        ({"create": {"names": {"reference": "a/b", "amount": "c"}}}, "a form has no fields within fields"),
        ({"create": {"encoding": "json", "names": {"reference": "a/b", "amount": "a"}}}, "names send a twice"),
        ({"create": {"names": {"reference": "a", "amount": "{amount}", "template": "x"}}}, "unknown field"),
        ({"status": {"amount": None}}, "amount is needed"),
        ({"status": {"reference": None}}, "reference is needed"),
        ({"status": {"session_id": "/data/id"}}, "status.session_id is compared with create.session_id"),
        ({"status": {"method": "GET", "secrets": {"key": "k"}}}, "secrets would stand in a URL"),
        ({"status": {"fixed": {"invoice_number": "1"}}}, "name is one of fixed and secrets too"),
        ({"status": {"headers": {"Accept": "text/plain"}}}, "headers.Accept is no header that can be set"),
        ({"status": {"failed": ["SUCCESS"]}}, "share success"),
        ({"status": {"ask_by": "session_id"}}, "callback.session_id is needed here or in create"),
        ({"status": {"ask_by": "transaction_id"}}, "ask_by"),
    ],
)
def test_what_a_table_cannot_express_is_refused_in_words(changes: Any, words: str) -> None:
    made(PAYSTATION)
    with pytest.raises(msgspec.ValidationError, match=re.escape(words)):
        made(with_changes(PAYSTATION, **changes))


def test_a_candidate_needs_our_reference_in_the_reply_whatever_else_is_there() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"status\.reference is needed"):
        made(with_changes(ZINIPAY, status={"reference": None, "session_id": "/invoice_id"}))


def test_a_session_that_comes_back_is_an_id_of_ours() -> None:
    by_session = {"reference": None, "session_id": "/invoice_id"}
    table = made(with_changes(ZINIPAY, create={"session_id": "/invoice_id"}, status=by_session))
    assert table.capabilities.asked_by == {Id.SESSION}
    assert table.capabilities.candidates is None
    assert made(ZINIPAY).capabilities.candidates is Id.SESSION
    assert Id.SESSION in table.capabilities.always


def test_no_secret_of_a_table_is_shown() -> None:
    assert "env:" in str(PAYSTATION)
    assert "env:" not in repr(made(PAYSTATION))


def test_a_refusal_that_repeats_a_secret_of_a_table_is_told_without_it() -> None:
    account = Account(id="a", merchant="m", provider=made(PAYSTATION))
    refused = account.without_secrets(OpeningRefused(message="no such user: env:PAYSTATION_PASSWORD!"))
    assert refused == OpeningRefused(message="no such user: ***!")

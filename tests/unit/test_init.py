"""The starter configuration: it loads as written, and so does everything it shows in comments."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from consumers.providers import PROVIDERS
from schemas.checks import Checks
from worker.cli.configured import starter, write_starter
from worker.config import Archive, load
from worker.config.console import Console
from worker.console.passwords import hash_password, new_totp
from worker.runtime.encryption import new_archive_key

OPERATORS = ("RAHIMA", "KARIM")
SIGNING = ("PAYPROOF_WEBHOOK_SECRET", "SHOP_OLD_SECRET")


def environ(text: str, path: Path) -> dict[str, str]:
    """Every variable the text names, each with a different value."""
    secrets = {name: "whsec_" + base64.b64encode(name.encode() * 2).decode() for name in SIGNING}
    names = dict.fromkeys(re.findall(r'"env:([A-Z_]+)"', text))
    made = {"PAYPROOF_ARCHIVE_KEY": new_archive_key(), "PAYPROOF_CONTACTS_KEY": new_archive_key()}
    made |= {"PAYPROOF_CONFIG": str(path)}
    operators = {f"{name}_PASSWORD": hash_password(name) for name in OPERATORS}
    operators |= {f"PAYPROOF_TOTP_{name}": new_totp() for name in OPERATORS}
    return {name: f"the-value-of-variable-{name}" for name in names} | secrets | made | operators


def test_the_starter_loads(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starter(path)
    config = load(environ(starter(), path))
    assert [merchant.id for merchant in config.merchants] == ["shop"]
    assert config.literal_secrets == ()
    assert path.stat().st_mode & 0o777 == 0o600


def test_all_it_shows_in_comments_loads_and_names_the_true_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", starter(), flags=re.MULTILINE)
    path = tmp_path / "payproof.toml"
    path.write_text(text, encoding="utf-8")
    config = load(environ(text, path))
    assert {account.provider.name for account in config.accounts} == set(PROVIDERS)
    assert config.checks == Checks()
    assert config.return_wait == 4.0
    assert config.archive.retention == Archive().retention
    assert len(config.archive.keys) == 1
    assert config.console.second_person_from == Console().second_person_from
    assert len(config.console.operators) == len(OPERATORS)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_starter(path)
    assert path.read_text() == "mine"

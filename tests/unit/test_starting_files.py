"""What `payproof init --sandbox` writes is a whole configuration, holds no secret, and replaces nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.config import load
from worker.config.env_file import read_env
from worker.playground.dev.addresses import addresses_of, sandbox_url_of
from worker.playground.dev.starting_files import API_KEY, write_starting_files
from worker.playground.sandbox.sandbox_config import GATEWAYS

SANDBOX = "http://127.0.0.1:8090"


def test_it_loads_with_nothing_set_and_has_an_account_at_every_gateway(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, SANDBOX)
    config = load({"PAYPROOF_CONFIG": str(path)}, roles=("ingress", "consume", "deliver", "console"))
    assert {account.provider.name for account in config.accounts} == set(GATEWAYS)
    assert sandbox_url_of(config) == SANDBOX
    assert len(set(addresses_of(config).values())) == 4
    drawn = read_env((tmp_path / ".env").read_text())
    assert config.caller_by_key(drawn[API_KEY]) is not None
    text = path.read_text()
    assert [name for name, secret in drawn.items() if secret in text] == []


def test_both_files_are_their_owners_alone_and_drawn_anew_each_time(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_starting_files(tmp_path / name / "payproof.toml", SANDBOX)
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / name).iterdir()} == {0o600}
        drawn.append(read_env((tmp_path / name / ".env").read_text()))
    assert not set(drawn[0].values()) & set(drawn[1].values())


@pytest.mark.parametrize("there", ["payproof.toml", ".env"])
def test_where_one_of_them_exists_nothing_is_written(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(FileExistsError) as refused:
        write_starting_files(tmp_path / "payproof.toml", SANDBOX)
    assert refused.value.filename == str(tmp_path / there)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(there, "mine")]

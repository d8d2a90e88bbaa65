"""What `payproof init --sandbox` writes is a whole configuration, holds no secret, and replaces nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.config import ConfigError, load
from worker.config.env_file import read_env
from worker.config.shop_access import API_KEY, WEBHOOK_SECRET, read_shop_access
from worker.playground.dev.addresses import NotForDev, addresses_of, sandbox_url_of
from worker.playground.dev.running import run_dev
from worker.playground.dev.starting_files import write_starting_files
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
    assert drawn.pop("SANDBOX") == SANDBOX
    text = path.read_text()
    assert [name for name, secret in drawn.items() if secret in text] == []


def test_a_command_beside_it_has_its_address_and_key_and_another_address_the_key_of_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, SANDBOX)
    own = read_env((tmp_path / ".env").read_text())[API_KEY]
    shell = {"PAYPROOF_CONFIG": str(path), API_KEY: "key-of-production", "PAYPROOF_LISTEN": "127.0.0.1:8123"}
    here = read_shop_access(shell)
    assert (here.url, here.key) == ("http://127.0.0.1:8123", own)
    assert here.secret == read_env((tmp_path / ".env").read_text())[WEBHOOK_SECRET]
    away = read_shop_access(shell | {WEBHOOK_SECRET: "whsec_of_production"}, "https://pay.shop.example/")
    assert (away.key, away.secret) == ("key-of-production", None)
    with pytest.raises(ConfigError, match="PAYPROOF_API_KEY: set it"):
        read_shop_access({"PAYPROOF_CONFIG": str(tmp_path / "none.toml")})


def test_both_files_are_their_owners_alone_and_drawn_anew_each_time(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_starting_files(tmp_path / name / "payproof.toml", SANDBOX)
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / name).iterdir()} == {0o600}
        drawn.append(read_env((tmp_path / name / ".env").read_text()))
    same = {name for name in drawn[0] if drawn[0][name] == drawn[1][name]}
    assert same == {"PAYPROOF_DATA_DIR", "SANDBOX"}


@pytest.mark.parametrize("there", ["payproof.toml", ".env"])
def test_where_one_of_them_exists_nothing_is_written(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(FileExistsError) as refused:
        write_starting_files(tmp_path / "payproof.toml", SANDBOX)
    assert refused.value.filename == str(tmp_path / there)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(there, "mine")]


def test_dev_runs_no_other_configuration(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, SANDBOX)
    path.write_text(path.read_text().replace("development = true", ""))
    data = tmp_path / "data"
    config = load({"PAYPROOF_CONFIG": str(path), "PAYPROOF_DATA_DIR": str(data)}, roles=())
    with pytest.raises(NotForDev, match="does not say development = true"):
        run_dev(config, {})
    assert not data.exists()

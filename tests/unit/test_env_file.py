"""`.env` beside a configuration for development: a shell with production's variables does not lead it there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.guide.source import ROOT
from worker.config import ConfigError, load
from worker.config.env_file import environment_here, open_to_others, read_env, unused, with_env_file
from worker.playground.dev.starting_files import write_starting_files

URL = "postgresql://of-the-file/payproof"


def test_it_fills_in_and_never_replaces(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEV_PASSWORD=from-the-file\nOTHER=from-the-file\nEMPTY=from-the-file\n")
    environ = {"DEV_PASSWORD": "from-the-environment", "EMPTY": ""}
    assert with_env_file(environ, tmp_path) == {**environ, "OTHER": "from-the-file"}
    assert environ == {"DEV_PASSWORD": "from-the-environment", "EMPTY": ""}


@pytest.mark.parametrize("written", ["", f"PAYPROOF_DATABASE_URL={URL}\nPAYPROOF_API_KEY=own\n"])
def test_variables_of_payproof_come_from_it_alone_but_where_the_service_listens(tmp_path: Path, written: str) -> None:
    (tmp_path / ".env").write_text(written)
    shell = {
        "PAYPROOF_DATABASE_URL": "postgresql://production/payproof",
        "PAYPROOF_DATABASE_DIRECT_URL": "postgresql://production/payproof",
        "PAYPROOF_AMQP_URL": "amqp://production/",
        "PAYPROOF_PUBLIC_URL": "https://pay.shop.example",
        "PAYPROOF_DATA_DIR": "/var/lib/payproof",
        "PAYPROOF_API_KEY": "key-of-production",
        "PAYPROOF_LISTEN": "127.0.0.1:8123",
    }
    used = with_env_file(shell, tmp_path)
    assert used == {"PAYPROOF_LISTEN": "127.0.0.1:8123"} | read_env(written)
    assert unused(shell, used) == sorted(set(shell) - {"PAYPROOF_LISTEN"})


def test_a_configuration_that_is_not_for_development_reads_none(tmp_path: Path) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, "http://127.0.0.1:8090")
    environ = {"PAYPROOF_CONFIG": str(path), "PAYPROOF_DATABASE_URL": "postgresql://production/payproof"}
    developed = load(environ)
    assert (developed.development, developed.settings.database_url) == (True, None)
    assert developed.settings.data_dir == tmp_path / ".payproof-dev"
    path.write_text(path.read_text().replace("development = true", "development = false"))
    (tmp_path / ".env").write_text("PAYPROOF_LISTEN=0.0.0.0:80\nPAYPROOF_TRUSTED_PROXIES=0.0.0.0/0\n")
    settings = load(environ, roles=()).settings
    assert settings.database_url is not None
    assert (settings.listen, settings.trusted_proxies) == (("127.0.0.1", 8080), ())
    assert environment_here(environ) == environ


@pytest.mark.parametrize("development", [True, False])
def test_one_that_cannot_be_read_stops_development_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, development: bool
) -> None:
    path = tmp_path / "payproof.toml"
    write_starting_files(path, "http://127.0.0.1:8090")
    if not development:
        path.write_text(path.read_text().replace("development = true", ""))
    read = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.name == ".env":
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    if not development:
        assert not load({"PAYPROOF_CONFIG": str(path)}, roles=()).development
        return
    with pytest.raises(ConfigError, match=r"\.env: cannot be read: Permission denied"):
        load({"PAYPROOF_CONFIG": str(path)}, roles=())


def test_it_cannot_say_which_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PAYPROOF_CONFIG=elsewhere.toml\n")
    assert with_env_file({}, tmp_path) == {}


def test_without_a_file_and_beside_a_folder_of_that_name_the_environment_is_all(tmp_path: Path) -> None:
    assert with_env_file({"A": "1"}, tmp_path) == {"A": "1"}
    (tmp_path / ".env").mkdir()
    assert with_env_file({"A": "1"}, tmp_path) == {"A": "1"}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604])
def test_one_that_others_may_read_is_seen(tmp_path: Path, mode: int) -> None:
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").chmod(mode)
    assert open_to_others(tmp_path) == (mode != 0o600)


def test_lines_are_read_as_other_programs_read_them() -> None:
    text = """# a comment
export A=1
B="two words"
C='three = words'
D =4
just words
E=
F=a=b#c
G=value # a note
H="a # b" # a note
I= # a note
J = "say \\"hi\\""
K=$HOME
"""
    assert read_env(text) == {
        "A": "1",
        "B": "two words",
        "C": "three = words",
        "D": "4",
        "E": "",
        "F": "a=b#c",
        "G": "value",
        "H": "a # b",
        "I": "",
        "J": 'say "hi"',
        "K": "$HOME",
    }


def test_no_command_reads_a_variable_of_payproof_past_it() -> None:
    commands = (ROOT / "worker/cli").glob("*.py")
    read = {name for path in commands for name in re.findall(r'env_var="(\w+)"', path.read_text(encoding="utf-8"))}
    assert read == {"PAYPROOF_SANDBOX_PORT"}  # of `init`, which writes a configuration and reads none

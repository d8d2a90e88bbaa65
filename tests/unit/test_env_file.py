"""`.env` beside the configuration fills in what the environment does not have, and never replaces what it has."""

from __future__ import annotations

from pathlib import Path

from worker.config.env_file import read_env, with_env_file


def test_it_fills_in_and_never_replaces(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SHOP_API_KEY=from-the-file\nOTHER=from-the-file\nEMPTY=from-the-file\n")
    environ = {"SHOP_API_KEY": "from-the-environment", "EMPTY": ""}
    assert with_env_file(environ, tmp_path) == {**environ, "OTHER": "from-the-file"}
    assert environ == {"SHOP_API_KEY": "from-the-environment", "EMPTY": ""}


def test_it_cannot_say_which_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PAYPROOF_CONFIG=elsewhere.toml\n")
    assert with_env_file({}, tmp_path) == {}


def test_without_a_file_and_beside_a_folder_of_that_name_the_environment_is_all(tmp_path: Path) -> None:
    assert with_env_file({"A": "1"}, tmp_path) == {"A": "1"}
    (tmp_path / ".env").mkdir()
    assert with_env_file({"A": "1"}, tmp_path) == {"A": "1"}


def test_quotes_and_export_are_taken_off_and_other_lines_are_passed_over() -> None:
    text = """# a comment
export A=1
B="two words"
C='three = words'
D =4
just words
E=
F=a=b#c
"""
    assert read_env(text) == {"A": "1", "B": "two words", "C": "three = words", "E": "", "F": "a=b#c"}

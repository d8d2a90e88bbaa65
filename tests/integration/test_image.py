"""The image's recipe: a linter's findings, and payproof's own rules. Nothing here builds it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.deployment import DEPLOY, ROOT, image, settings_read
from worker.config.environment import DEFAULT_CONFIG, DEFAULT_CONSOLE_LISTEN, DEFAULT_LISTEN, DEFAULT_OPS_LISTEN
from worker.process import ROLES


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([linter, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_both_stages_begin_with_the_same_python_of_one_minor_version() -> None:
    bases = {text.split()[0] for word, text in [*image().before, *image().instructions] if word == "FROM"}
    (base,) = bases
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base)


def test_the_last_stage_holds_the_virtual_environment_and_nothing_else() -> None:
    assert image().all("COPY") == ["--from=build /opt/payproof /opt/payproof"]
    assert not image().all("RUN")
    assert not image().all("ADD")


def test_it_runs_as_a_user_who_is_a_number_and_not_root() -> None:
    (user,) = image().all("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_it_listens_on_the_ports_that_are_the_defaults_and_exposes_them() -> None:
    environment = image().environment
    assert set(environment) >= {"PAYPROOF_CONFIG", "PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN", "PAYPROOF_LOG"}
    assert {name for name in environment if name.startswith("PAYPROOF_")} <= settings_read()
    assert Path(environment["PAYPROOF_CONFIG"]).name == DEFAULT_CONFIG
    listened = [DEFAULT_CONSOLE_LISTEN, DEFAULT_LISTEN, DEFAULT_OPS_LISTEN]
    ports = [address.rpartition(":")[2] for address in listened]
    assert image().all("EXPOSE") == [" ".join(ports)]
    names = ("PAYPROOF_CONSOLE_LISTEN", "PAYPROOF_LISTEN", "PAYPROOF_OPS_LISTEN")
    assert [environment[name] for name in names] == [f"0.0.0.0:{port}" for port in ports]


def test_its_health_asks_the_ops_port_whether_it_is_alive() -> None:
    (health,) = image().all("HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert DEFAULT_OPS_LISTEN.rpartition(":")[2] in command[2]
    assert "/healthz" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")


def test_only_what_is_copied_reaches_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "everything is excluded except the named files"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert let_in == set(image().sources)
    assert all((ROOT / source).exists() for source in let_in)


def test_without_words_it_serves_every_role() -> None:
    assert [json.loads(text) for text in (*image().all("ENTRYPOINT"), *image().all("CMD"))] == [["payproof"], ["serve"]]
    assert ROLES

"""The threat model points at tests, and each of them exists; what it says of each process is what `deploy/` ships."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.deployment import documents
from tests.processes import directory
from worker.amqp.topology import CLAIMS, DEAD, EVENTS, EXPECTED
from worker.config.secret_use import used
from worker.process import ROLES

SECRETS = {
    "API keys": "merchants[0].api_keys[0]",
    "archive's keys": "archive.keys[0]",
    "endpoint's secret": "merchants[0].webhooks[0].secret",
    "gateway's keys": "merchants[0].accounts[0].api_key",
    "gateway's webhook secret": "merchants[0].accounts[0].webhook_secret",
    "operators' password hashes and code secrets": "console.operators[0].totp",
}
"""A path of each kind of secret."""

ROOT = Path(__file__).parents[2]


def test_what_the_threat_model_names_is_there() -> None:
    text = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:tests|schemas|deploy)/[^`\s]+)", text))
    assert len(named) > 20
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_what_each_process_has_is_what_the_shipped_files_give_it() -> None:
    text = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8").partition("## What each process has")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"(?m)^\| `.*\|$", text)]
    told = {row[0].strip("`"): row[1:] for row in rows}
    assert tuple(told) == ROLES
    (cluster,) = documents(ROOT / "deploy/kubernetes/postgres.yaml")
    groups = {one["name"].removeprefix("app_"): one["inRoles"] for one in cluster["spec"]["managed"]["roles"]}
    rights = broker_rights()
    for role, (group, writes, reads, secrets) in told.items():
        assert names(group) == set(groups[role]), role
        for words, right in ((writes, "write"), (reads, "read")):
            given = {name for name in (CLAIMS, EVENTS, DEAD, EXPECTED) if re.fullmatch(rights[role][right], name)}
            given -= {CLAIMS} if right == "read" else set()  # an exchange, which consume binds its queues to
            assert names(words) == given, (role, right)
        assert {one.strip() for one in secrets.split(",")} - {""} == {
            name for name, path in SECRETS.items() if used(path, [role])
        }


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def broker_rights() -> dict[str, dict[str, str]]:
    """What `deploy/keys.sh` gives each role at the broker, by its own script."""
    with directory() as place:
        environment = {"PATH": "/usr/bin:/bin", "POSTGRES": "db:5432", "RABBITMQ": "mq:5672"}
        subprocess.run(["sh", ROOT / "deploy/keys.sh", place, *ROLES], env=environment, check=True, timeout=20)
        definitions = json.loads((place / "broker" / "definitions.json").read_text())
    nothing = {"write": "^$", "read": "^$"}
    found = {one["user"].removeprefix("app_"): one for one in definitions["permissions"]}
    return {role: found.get(role, nothing) for role in ROLES}

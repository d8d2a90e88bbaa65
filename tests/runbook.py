"""The files in deploy/ for the operator on call, read for tests: alerts, the runbook's sections, its commands."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from msgspec import Struct, convert

DEPLOY = Path(__file__).parents[1] / "deploy"
RUNBOOK = DEPLOY / "runbook.md"
RULES = DEPLOY / "prometheus/rules.yaml"
METRIC = re.compile(r"\bpayproof_[a-z_]+[a-z]\b")


class Alert(Struct, frozen=True, rename={"name": "alert", "lasts": "for"}, forbid_unknown_fields=True):
    """One rule, as in the file."""

    name: str
    expr: str
    lasts: str
    labels: dict[str, str]
    annotations: dict[str, str]


def alerts() -> list[Alert]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [convert(rule, Alert) for group in groups for rule in group["rules"]]


def sections() -> dict[str, str]:
    """The text of each section about an alert or a hold, by its heading."""
    _, *parts = re.split(r"^### (.+)\n", RUNBOOK.read_text(), flags=re.MULTILINE)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {heading: re.split(r"^## ", text, flags=re.MULTILINE)[0] for heading, text in pairs}


def anchor(heading: str) -> str:
    """The anchor of a heading as GitHub makes it."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")


def commands(language: str) -> list[str]:
    """The commands in the fences of this language, each once."""
    fences = re.findall(rf"^```{language}\n(.*?)^```", RUNBOOK.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in (fence.splitlines() if language == "sh" else [fence])]
    return list(dict.fromkeys(lines))


def metrics(text: str) -> set[str]:
    """The metric families that an expression names."""
    names = METRIC.findall(text)
    return {re.sub(r"(?<=seconds)_(bucket|count|sum)$", "", name) for name in names}

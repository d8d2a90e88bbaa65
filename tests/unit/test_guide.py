"""README and guides: their tables are the code's, the files they name exist, and their commands are ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from schemas.request_shape import Wrong
from schemas.requests import NEW_PAYMENT
from schemas.wire import read_json
from tests.guide import source
from tests.guide.__main__ import GUIDES
from tests.guide.source import ROOT
from tests.guide.tables import filled
from tests.runbook import anchor
from tests.unit.test_providers import FILES
from tests.unit.test_providers import provider as configured
from worker.cli import app
from worker.playground.demo.stories import STORIES
from worker.playground.sandbox.control.script_routes import scripts_of
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.telemetry.metrics import Metrics

README = ROOT / "README.md"
PAGES = sorted(GUIDES.glob("*.md"))
LONGEST_README = 100
MOST_FILES = 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "python -m tests.guide makes them anew"


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:\.ci|\.github|consumers|deploy|schemas|tests|worker)/[^`\s<]*)", text))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    assert [link for link in sorted(links) if not (page.parent / link).exists()] == []
    beside = set(re.findall(r"`([a-z-]+\.md)`", text)) if page != README else set()
    assert [name for name in sorted(beside) if not (GUIDES / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sections_and_metrics_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, heading in re.findall(r'`([a-z/-]+\.md)`, "([^"]+)"', text):
        told = (ROOT if "/" in name else GUIDES).joinpath(name).read_text(encoding="utf-8")
        assert anchor(heading) in {anchor(one) for one in re.findall(r"^#+ (.+)$", told, flags=re.MULTILINE)}
    named = set(re.findall(r"`(payproof_[a-z_]+)`", text)) - {"payproof_process_cpu_seconds_total"}
    assert named <= {one.name for one in source.metrics()}


def test_every_metric_that_a_process_counts_is_found_in_the_source() -> None:
    families = {family.name for family in CollectorRegistry.collect(Metrics().registry)}
    counted = {name for name in families if not name.startswith("payproof_process")}
    assert counted <= {one.name.removesuffix("_total") for one in source.metrics()}


def test_the_readme_is_short_and_names_a_payments_way_in_a_few_files() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_README
    (way,) = re.findall(r"^A payment's way can be read in.*?\n\n", text, flags=re.MULTILINE | re.DOTALL)
    files = re.findall(r"`([^`]+\.py)`", way)
    assert 1 < len(files) == len(set(files)) <= MOST_FILES


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_the_commands_of_a_page_are_ours(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in fence.splitlines()]
    for line in (*lines, *re.findall(r"`(payproof [^`]+)`", text)):
        if line.startswith("payproof "):
            app.parse_args(shlex.split(line, comments=True)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_the_commands_of_a_page_are_run_by_a_test(page: Path) -> None:
    """Those of the checkout itself, such as `deploy/dev test`, are CI's own."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    if all(line.startswith("deploy/dev ") for fence in fences for line in fence.splitlines()):
        return
    named = str(page.relative_to(ROOT))
    assert [test for test in (ROOT / "tests/e2e").glob("test_*.py") if f'"{named}"' in test.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_the_programs_and_verbs_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"python -m (tests[\w.]+)", text):
        place = ROOT.joinpath(*name.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name
    verbs = re.findall(r"^  ([a-z]+) ", (ROOT / "deploy/dev").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(re.findall(r"deploy/dev ([a-z]+)\b(?! lists)", text)) - {"alone"} <= set(verbs)
    for test in re.findall(r"pytest (tests/\S+\.py)", text):
        assert (ROOT / test).exists(), test


def test_doctor_ticks_what_the_checklist_says_it_ticks() -> None:
    checklist = (GUIDES / "go-live.md").read_text(encoding="utf-8")
    ticked, _, _ = checklist.partition("## What a person ticks")
    doctor = [ROOT / "worker/cli/doctor.py", *(ROOT / "worker/ops/doctor").glob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in doctor)
    for subject in re.findall(r"^- \[ \] `([^`]+)`:", ticked, flags=re.MULTILINE):
        assert f'"{subject.partition(" NAME")[0]}' in source, subject


@pytest.mark.parametrize("page", [README, GUIDES / "integrate.md"], ids=lambda page: page.name)
def test_the_payment_that_a_page_opens_is_taken(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (body,) = re.findall(r"^```http\nPOST /v1/payments\n.*?\n\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    wrong: list[Wrong] = []
    NEW_PAYMENT.read(read_json(body.encode()), wrong)
    assert wrong == []


def test_each_recipe_names_every_gateway_that_its_script_fits() -> None:
    text = (GUIDES / "test.md").read_text(encoding="utf-8")
    names = {story.gateway.provider: story.gateway.name for story in reversed(STORIES)}
    for script in scripts_of(Sandbox(SandboxConfig())):
        _, _, recipe = text.partition(f"### `{script.script}`\n")
        heads = re.findall(r"^- (.*?): ", recipe.partition("\n### ")[0].partition("<!--")[0], flags=re.MULTILINE)
        named = {name for head in heads for name in head.split("; ")}
        if not any(name.startswith("Every gateway") for name in named):
            assert {names[gateway] for gateway in script.gateways} <= named, script.script


def test_the_guide_says_of_each_gateway_whether_an_event_tells_its_refunds() -> None:
    text = (GUIDES / "integrate.md").read_text(encoding="utf-8").partition("**Refunds that no event tells.**")[2]
    lists = {
        frozenset({True}): r"- Refunds are told at ([^.]+)\.",
        frozenset({True, False}): r"- They are told where the account's `refunded` words are configured: ([^.]+)\.",
        frozenset({False}): r"- No event tells them at ([^:]+):",
    }
    told = {}
    for shows, words in lists.items():
        found = re.search(words, text)
        assert found is not None, words
        names = [name.strip().replace("a gateway from a table", "generic") for name in found[1].split(",")]
        told |= {name.lower(): shows for name in names}
    shown: dict[str, set[bool]] = {}
    for path in FILES:
        shown.setdefault(path.parent.name, set()).add(configured(path).capabilities.shows_refunds)
    assert told == {name: frozenset(found) for name, found in shown.items()}

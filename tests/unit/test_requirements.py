"""The lists of the image's packages: complete, with a hash for each file, and as pyproject.toml asks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deployment import DEPLOY, ROOT

LISTS = ("requirements.txt", "requirements-build.txt")


def listed(name: str) -> dict[str, tuple[str, list[str]]]:
    """The version and the hashes of each package in a list."""
    entries = re.split(r"\n(?=\S)", (DEPLOY / name).read_text())[1:]
    found = {}
    for entry in entries:
        heading, *hashes = [line.rstrip("\\").strip() for line in entry.strip().splitlines()]
        package, version = heading.split("==")
        found[canonicalize_name(package)] = (version.split(";")[0].strip(), hashes)
    return found


@pytest.mark.parametrize("name", LISTS)
def test_each_package_of_the_image_has_hashes(name: str) -> None:
    packages = listed(name)
    assert packages
    for package, (_, hashes) in packages.items():
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), package


def test_each_package_that_payproof_needs_is_listed_in_a_version_that_it_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    _fits([*project["dependencies"], *project["optional-dependencies"]["oidc"]], "requirements.txt")


def test_each_package_that_builds_the_image_is_listed_in_a_version_that_is_asked_for() -> None:
    asked = (DEPLOY / "requirements-build.in").read_text().splitlines()
    _fits([*asked, *tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]], LISTS[1])


def test_the_image_installs_only_listed_files() -> None:
    steps = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text())
    (run,) = re.findall(r"^RUN (.*)", steps, flags=re.MULTILINE)
    for command in (step.strip() for step in run.split("&&") if " install " in step):
        assert "--no-deps /wheel/" in command or "--only-binary=:all: --require-hashes" in command, command


def _fits(asked: list[str], name: str) -> None:
    packages = listed(name)
    for requirement in map(Requirement, asked):
        version, _ = packages[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {name} has {version}"


def test_the_workflow_runs_what_ci_runs_and_no_action_of_others() -> None:
    text = (ROOT / ".github/workflows/ci.yaml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert not [step for step in job["steps"] if "uses" in step]
    assert ".ci/run" in job["steps"][-1]["run"]
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*check, ROOT / ".github/workflows/ci.yaml"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout

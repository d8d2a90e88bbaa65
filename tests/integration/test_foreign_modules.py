"""The command in a shop's directory, whose modules have the names of our packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.contract import ROOT

WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
    "wheel"
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An empty directory but for modules that fail when they are imported."""
    place = tmp_path / "shop"
    place.mkdir()
    for name in ("worker.py", "schemas.py", "consumers/__init__.py", "worker_cli.py"):
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('the shop itself was imported')\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel, as pyproject.toml lists them, in a directory of their own."""
    place = tmp_path_factory.mktemp("site")
    for package in WHEEL["packages"]:
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in WHEEL["force-include"].items():
        (place / source).rename(place / target)
    return place


def run(shop: Path, *python: str, path: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *python, "dead", "--help"]
    return subprocess.run(
        command, cwd=shop, env=environ | {"PYTHONPATH": path}, check=False, capture_output=True, text=True, timeout=60
    )


SCRIPT = "import sys; sys.argv[0] = 'payproof'; from payproof import main; sys.exit(main())"  # as pip writes it


@pytest.mark.parametrize("python", [("-P", "-c", SCRIPT), ("-m", "payproof")], ids=["payproof", "python -m payproof"])
def test_the_command_does_not_import_a_shops_modules(shop: Path, installed: Path, python: tuple[str, ...]) -> None:
    ended = run(shop, *python, path=os.pathsep.join((".", str(installed))))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "replay" in ended.stdout


def test_a_child_of_the_demo_does_not_import_them_either(shop: Path) -> None:
    ended = run(shop, "-P", str(ROOT / "worker/launcher/payproof.py"), path=os.pathsep.join((".", str(ROOT))))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_installation_without_a_package_is_told(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed / "worker", tmp_path / "worker")
    shutil.copy(installed / "payproof.py", tmp_path)
    ended = run(tmp_path, "-m", "payproof", path=str(tmp_path))
    assert ended.returncode == 1
    assert f"{tmp_path} has no package schemas" in ended.stderr

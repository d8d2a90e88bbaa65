"""shellcheck finds nothing in any shell script of this repository."""

from __future__ import annotations

import shutil
import subprocess

from tests.contract import ROOT


def test_shellcheck_finds_nothing() -> None:
    assert shutil.which("shellcheck"), "there is no shellcheck; deploy/dev test installs it"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    scripts = [name for name in listed.split("\0") if name and _is_script(name)]
    assert "deploy/dev" in scripts
    found = subprocess.run(["shellcheck", *scripts], cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def _is_script(name: str) -> bool:
    path = ROOT / name
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and first.split()[-1].rpartition(b"/")[2] in (b"sh", b"bash", b"dash")

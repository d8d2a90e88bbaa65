"""Embedded mode started by root says so at its start and in the doctor; started by another user it does not."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.harness import System, environment


def test_root_is_told_what_to_do_instead(system: System) -> None:
    as_root = os.geteuid() == 0
    assert ('"embedded.as_root"' in system.service.log.read_text()) is as_root
    done = subprocess.run(
        [sys.executable, "-P", "-m", "worker.cli", "doctor"],
        env=environment() | system.settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ("payproof itself runs as root" in " ".join(done.stdout.split())) is as_root, done.stdout

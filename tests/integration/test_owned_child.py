"""A child in its owner's process group does not outlive an owner that was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.processes import until
from worker.playground.demo.children import environment

OWNER = """
import sys, time
from pathlib import Path
from worker.playground.demo.children import Child
child = Child("child", "http.server", "--bind=127.0.0.1", "0", log=Path(sys.argv[1]), settings={}, own_group=False)
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


async def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    log = tmp_path / "log"
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(log)), env=environment(), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    child = int(await owner.stdout.readline())
    await until(lambda: "Serving HTTP" in log.read_text(), what="the child runs")
    owner.send_signal(signal.SIGKILL)
    await owner.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    try:
        await until(gone, what="the child has ended")
    finally:
        if not gone():
            os.kill(child, signal.SIGKILL)

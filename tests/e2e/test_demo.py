"""The demo itself: every story ends as it should, and nothing is left behind, however it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import directory, until
from worker.demo.children import Child, environment
from worker.demo.stories import STORIES

COMMAND = (sys.executable, "-P", "-m", "worker.cli", "demo")
SECONDS = 120.0


@pytest.fixture
def place() -> Iterator[Path]:
    with directory() as place:
        yield place


def left_behind(place: Path) -> list[str]:
    """Command lines of processes that work in this directory."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(place) in words:
            lines.append(words)
    return lines


def test_there_are_stories_enough_and_none_twice() -> None:
    names = [(story.gateway.name, story.name) for story in STORIES]
    assert len(names) >= 30
    assert len(set(names)) == len(names)


def test_every_story_ends_as_it_should(place: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "--exit"],
        cwd=place,
        env=environment() | {"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert f"{len(STORIES)} stories" in ended.stdout
    for story in STORIES:
        assert re.search(rf"│ {re.escape(story.gateway.name)} +│ {re.escape(story.name)} +│", ended.stdout)
    assert list(place.iterdir()) == []
    assert left_behind(place) == []


def stories_under_way(place: Path) -> bool:
    return any("payment.changed" in log.read_text() for log in place.glob("payproof-demo-*/payproof.log"))


async def test_ctrl_c_ends_everything(place: Path) -> None:
    demo = Child("demo", "worker.cli", "demo", log=place / "output", settings={"TMPDIR": str(place)})
    demo.start()
    try:

        async def under_way() -> bool:
            return stories_under_way(place)

        await until(under_way, what="a first story has ended", seconds=60)
        assert demo.interrupt() == 1
    finally:
        demo.stop()
    assert left_behind(place) == []

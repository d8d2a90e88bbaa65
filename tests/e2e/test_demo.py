"""The demo itself: every script has its story, every story ends as it should, and nothing is left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from tests.broker import rabbitmq
from tests.harness import BLIND, CHECKED, NEWER, STORIES, Child, environment
from tests.processes import directory, until
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sandbox_config import GATEWAYS, SandboxConfig
from worker.playground.sandbox.scripts import BY_NAME, SCRIPTS

COMMAND = (sys.executable, "-P", "-m", "worker.cli", "demo")
SECONDS = 240.0


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
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_every_script_has_a_story_at_every_gateway_that_it_fits_and_at_no_other() -> None:
    sandbox = Sandbox(SandboxConfig())
    simulated = sandbox.gateways
    asked = (*CHECKED, *NEWER)
    assert {gateway.provider for gateway in asked} == set(GATEWAYS) == set(simulated)
    fitting = {(one.name, name) for one, name in product(SCRIPTS, GATEWAYS) if one.fits(simulated[name])}
    sandbox.state.close()
    played = {story.gateway: set[tuple[str, str]]() for story in STORIES}
    for story in STORIES:
        if story.script is not None:
            played[story.gateway].add((story.script, story.gateway.provider))
    assert set[tuple[str, str]]().union(*(played[gateway] for gateway in asked)) == fitting
    assert played[BLIND] <= fitting  # besides: the outcome of an account that cannot be asked stands for no other


def test_stories_of_a_script_bear_its_title_and_stand_in_the_order_of_the_table() -> None:
    scripted = [(story.script, story.name) for story in STORIES if story.script]
    assert all(re.fullmatch(rf"{BY_NAME[script].title}(, .+)?", name) for script, name in scripted)
    order = [one.name for one in SCRIPTS]
    assert [script for script, _ in scripted] == sorted((script for script, _ in scripted), key=order.index)


@pytest.mark.parametrize("bus", ["postgres", "rabbitmq"])
def test_every_story_ends_as_it_should(place: Path, bus: str) -> None:
    with ExitStack() as stack:
        broker = {"PAYPROOF_AMQP_URL": stack.enter_context(rabbitmq()).url} if bus == "rabbitmq" else {}
        ended = subprocess.run(
            [*COMMAND, "--exit"],
            cwd=place,
            env=environment() | {"TMPDIR": str(place)} | broker,
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

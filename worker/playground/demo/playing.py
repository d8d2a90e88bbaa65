"""Playing the stories: some at a time, each compared with the one end that is right for it.

A story is over when its end was reached, its gateway has done all its postponed work, and payproof has asked about it.
Stories are judged only when all are over, so that an extra event is noticed.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import aiohttp
from msgspec import Struct

from schemas.requests import NEWEST
from worker.playground.demo.browser import CONFIRMING, Browser
from worker.playground.demo.control import Control, ControlError
from worker.playground.demo.lifetime import HasDatabase, shorten
from worker.playground.demo.scene import Scene
from worker.playground.demo.stage import Stage
from worker.playground.demo.starts import Starts
from worker.playground.demo.stories_shop import Document, Refused, StoryShop, shop_pages
from worker.playground.demo.story import Story
from worker.playground.demo.system import QUICK
from worker.playground.demo.told_events import DemoFeed, read_feed_page
from worker.playground.demo.waiting import Otherwise
from worker.runtime.cancellation import end_one

AT_ONCE = 20
LONG_SECONDS = 8.0
"""Stories that last so long are all played at once, beside the others, since they do little else than wait."""
STORY_SECONDS = 90.0
RETURN_WAIT = float(tomllib.loads(QUICK)["return_wait"].removesuffix("s"))
SLOW_MILLISECONDS = 750 * RETURN_WAIT
"""Later outcomes may miss the buyer's return, who then sees the confirming page, as on a busy machine."""


class StoryRow(Struct, kw_only=True):
    """How a story ended. `wrong` is empty when it ended as it should."""

    story: Story
    wrong: list[str]
    saw: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    payment: Document | None = None
    milliseconds: float | None = None
    asked_and_answered: tuple[str, str] | None = None

    @property
    def ended(self) -> str:
        if self.payment is None:
            return "not opened"
        words = [self.payment["status"], *(["late"] if self.payment["late"] else [])]
        return " ".join(words) + (f", held: {self.payment['hold']}" if self.payment["hold"] else "")


class Installed(HasDatabase, Protocol):
    """Where payproof and its sandbox are reached, and an API key."""

    url: str
    sandbox_url: str
    key: str


@asynccontextmanager
async def staged(system: Installed, *, from_newest: bool = False) -> AsyncIterator[Stage]:
    """The shop with its pages, the buyer's browser and the feed of events, for a running system.

    The feed has every event since the beginning; with `from_newest`, those that come from now on.
    """
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http,
        shop_pages() as pages_url,
    ):
        shop = StoryShop(http, system.url, system.key, pages_url)
        feed = DemoFeed(shop, (await read_feed_page(shop, NEWEST)).next if from_newest else None)
        reading = asyncio.create_task(feed.run())
        try:
            yield Stage(
                shop=shop,
                control=Control(http, system.sandbox_url),
                browser=Browser(http),
                feed=feed,
                url=system.url,
                shorten=partial(shorten, system),
            )
        finally:
            await end_one(reading)


async def play(stories: Sequence[Story], stage: Stage, over: Callable[[StoryRow], None]) -> list[StoryRow]:
    """Play them all, those that last first; `over` is called as each ends.

    The rows come back in the order of the stories.
    """
    slots, starts = asyncio.Semaphore(AT_ONCE), Starts(stage.shop)
    scenes = [
        Scene(stage, story.gateway, number, script=story.script, seconds=story.seconds)
        for number, story in enumerate(stories, 1)
    ]
    rows = [StoryRow(story=story, wrong=[]) for story in stories]

    async def play_one(row: StoryRow, scene: Scene) -> None:
        async with nullcontext() if row.story.lasts >= LONG_SECONDS else slots:
            await starts.turn()
            await _play(row, scene)
        over(row)

    async with asyncio.TaskGroup() as group:
        for row, scene in sorted(zip(rows, scenes, strict=True), key=lambda played: -played[0].story.lasts):
            group.create_task(play_one(row, scene))
    for row, scene in zip(rows, scenes, strict=True):
        await _judge(row, scene)
    return rows


async def _play(row: StoryRow, scene: Scene) -> None:
    try:
        async with asyncio.timeout(STORY_SECONDS):
            await row.story.does(scene)
            await scene.until(*row.story.expects.told)
            if row.story.script is not None:
                await scene.gateway_has_done_all()
                await scene.all_is_heard()
    except (Otherwise, Refused, ControlError) as error:
        row.wrong.append(str(error))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        row.wrong.append(f"{type(error).__name__} {error}".strip())


async def _judge(row: StoryRow, scene: Scene) -> None:
    """Look at the payment once more, and at all its events."""
    row.saw = tuple(scene.saw)
    if not scene.payment:
        row.wrong.append("no payment was opened")
        return
    payment_id, stage, expects = scene.payment["payment_id"], scene.stage, row.story.expects
    row.payment = payment = await stage.shop.payment(payment_id)
    row.told = stage.feed.words(payment_id)
    row.milliseconds = _milliseconds(scene)
    if payment["hold"] is not None:
        row.asked_and_answered = _asked_and_answered(payment, await stage.shop.timeline(payment_id))
    for what, should, did in (
        ("the buyer should have seen", expects.saw, _without_slowness(row)),
        ("the log should have", expects.told, row.told),
        ("should have ended as", expects.status, payment["status"]),
        ("should be held as", expects.hold, payment["hold"]),
        ("should be late:", expects.late, payment["late"]),
    ):
        if should != did:
            row.wrong.append(f"{what} {_shown(should)}, not {_shown(did)}")
    asked = await stage.control.questions(scene.gateway.provider, payment["reference"])
    if expects.questions is not None and asked > expects.questions:
        row.wrong.append(f"the gateway was asked {asked} times, at most {expects.questions} were right")
    if asked < expects.least_questions:
        row.wrong.append(f"the gateway was asked {asked} times, at least {expects.least_questions} were right")


def _without_slowness(row: StoryRow) -> tuple[str, ...]:
    """The pages that the buyer saw, or those of the story where only slowness made the difference.

    The confirming page may come first where the outcome came late, and at once after a form unless a webhook was
    quicker. A late outcome may have been followed by the last by then. A buyer who says that nothing was paid is not
    held for it, and goes back to the shop with `pending`.
    """
    expected, payment = row.story.expects.saw, row.payment
    slow = row.milliseconds is not None and row.milliseconds > SLOW_MILLISECONDS
    if slow or row.story.gateway.posts:
        likewise = {(CONFIRMING, *expected)}
        if slow and payment is not None and len(expected) == 1:
            (page,) = expected
            name = page.partition(" (")[0]
            likewise.add((CONFIRMING, f"{name} ({'held' if payment['hold'] else payment['status']})"))
            if name != "thanks":
                likewise.add((f"{name} (pending)",))
        if row.saw in likewise:
            return expected
    return row.saw


def _milliseconds(scene: Scene) -> float | None:
    """From the first message about the payment to payproof until its next event was recorded."""
    if scene.callback_at is None:
        return None
    since = datetime.fromtimestamp(scene.callback_at, UTC)
    events = scene.stage.feed.by_payment[scene.payment["payment_id"]]
    after = (told.time for told in events if told.time > since and told.word != "opened")
    first = next(after, None)
    return None if first is None else (first - since).total_seconds() * 1000


def _asked_and_answered(payment: Document, timeline: list[Document]) -> tuple[str, str]:
    """What was expected of the gateway, and what its last answer said."""
    expected = _named(payment, "amount", "currency", "reference")
    answers = [entry for entry in timeline if entry["kind"] == "answer" and "status" in entry]
    if not answers:
        return expected, "it was never asked"
    return expected, _named(answers[-1], "word", "amount", "currency", "reference")


def _named(document: Document, *names: str) -> str:
    return " ".join(str(document[name]) for name in names if document.get(name) is not None)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)

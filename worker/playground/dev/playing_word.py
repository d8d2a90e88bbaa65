"""Playing one word: a payment is opened over the API, the buyer acts at the sandbox and returns, and the event comes.

Nothing is sent to a gateway that has not proven to be a sandbox, and each checkout must be in its books.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from msgspec import Struct
from msgspec.structs import replace

from consumers.account import Account
from worker.config import Config
from worker.playground.bench.sandboxed import NotASandbox, sandbox_of
from worker.playground.demo.control import Control
from worker.playground.demo.playing import staged
from worker.playground.demo.scene import Scene
from worker.playground.demo.stories_shop import Document, StoryShop
from worker.playground.demo.story import Story
from worker.playground.demo.told_events import ToldEvent
from worker.playground.demo.waiting import Otherwise
from worker.postgres.server.embedded import embedded_here


class Installation:
    """A running payproof as the stories need it. `key` is an API key of the account's merchant."""

    def __init__(self, config: Config, url: str, sandbox_url: str, key: str) -> None:
        self.url, self.sandbox_url, self.key = url, sandbox_url, key
        self._settings = config.settings

    @contextmanager
    def joined(self) -> Iterator[str]:
        """The URL of its database, as long as the block lasts. Blocks."""
        if (url := self._settings.sessions_url) is not None:
            yield url.reveal()
            return
        with embedded_here(self._settings.data_dir) as here:
            yield here


class ProvenShop(StoryShop):
    """A shop that goes on only with payments whose checkout is in the sandbox's books."""

    def __init__(self, shop: StoryShop, control: Control) -> None:
        vars(self).update(vars(shop))
        self._control = control

    async def open(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        payment = await super().open(request, idempotency_key)
        if await self._control.session(payment["provider"], payment["reference"]) is None:
            raise NotASandbox(
                f"the service opened {payment['payment_id']} elsewhere than at this sandbox, so its configuration is "
                "another; nothing more was done"
            )
        return payment


class Played(Struct, frozen=True, kw_only=True):
    """`seconds`: from the first message to payproof until the last event, None where no message came; and in all."""

    payment: Document
    events: tuple[ToldEvent, ...]
    seconds: float | None
    in_all: float


async def play_word(installation: Installation, account: Account, story: Story, *, seconds: float) -> Played:
    """Play the story, until its last event is in /v1/events.

    Raises Otherwise after so many seconds, or where another event came; NotASandbox; what the API and the sandbox say:
    Refused, ControlError or one of AWAY.
    """
    began = time.monotonic()
    async with aiohttp.ClientSession() as http:
        await sandbox_of(http, account)
    async with staged(installation, from_newest=True) as stage:
        proven = replace(stage, shop=ProvenShop(stage.shop, stage.control))
        scene = Scene(proven, story.gateway, 1, script=story.script, seconds=story.seconds)
        try:
            async with asyncio.timeout(seconds):
                await story.does(scene)
                await scene.until(*story.expects.told, seconds=seconds)
        except TimeoutError:
            said = scene.payment.get("payment_id")
            of = f" of {said}" if said else ""
            raise Otherwise(f"no {story.expects.told[-1]}{of} within {seconds:g} s") from None
        events = tuple(stage.feed.by_payment[scene.payment["payment_id"]])
    event = events[-1]
    called = None if scene.callback_at is None else datetime.fromtimestamp(scene.callback_at, UTC)
    return Played(
        payment=event.data,
        events=events,
        seconds=None if called is None or called > event.time else (event.time - called).total_seconds(),
        in_all=time.monotonic() - began,
    )

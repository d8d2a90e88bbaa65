"""What all stories share: the gateways as the demo shows them, and the shop, buyers and books around a payment."""

from __future__ import annotations

from msgspec import Struct

from worker.playground.demo.browser import Browser
from worker.playground.demo.control import Control
from worker.playground.demo.lifetime import Shorten
from worker.playground.demo.stories_shop import StoryShop
from worker.playground.demo.told_events import DemoFeed


class Gateway(Struct, frozen=True, kw_only=True):
    """A gateway as the demo shows it.

    `notifies`: it sends webhooks or IPNs, so that acting there already is a callback. `posts`: it sends browsers back
    by a form, which payproof answers with the confirming page at once.
    """

    name: str
    provider: str
    account: str
    notifies: bool = False
    posts: bool = False


class Stage(Struct, frozen=True, kw_only=True):
    """What all stories share. `url` is where payproof is reached; `shorten` is worker.playground.demo.lifetime's."""

    shop: StoryShop
    control: Control
    browser: Browser
    feed: DemoFeed
    url: str
    shorten: Shorten

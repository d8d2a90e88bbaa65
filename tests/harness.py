"""The entrance through which tests reach the demo's parts: an installation and its processes, and scripted buyers.

Code that only tests need stands here, so that it is not shipped.
"""

from __future__ import annotations

import signal

from worker.playground.demo import children
from worker.playground.demo.browser import CONFIRMING, Browser
from worker.playground.demo.children import environment, free_ports
from worker.playground.demo.control import Control, ControlError
from worker.playground.demo.elsewhere import OPENED
from worker.playground.demo.heard import all_heard, answers
from worker.playground.demo.lifetime import shorten
from worker.playground.demo.playing import play, staged
from worker.playground.demo.scene import Scene
from worker.playground.demo.stage import Gateway, Stage
from worker.playground.demo.stories import STORIES
from worker.playground.demo.stories_shop import Document, Refused, StoryShop, shop_pages
from worker.playground.demo.story import (
    BLIND,
    CHECKED,
    EVERY,
    IPAY,
    MONEYBAG,
    NEWER,
    ONEPAYBD,
    PAYPARSE,
    SHADHINPAY,
    TELLS_THE_END,
)
from worker.playground.demo.system import QUICK, READY_SECONDS, System
from worker.playground.demo.told_events import DemoFeed, ToldEvent, read_event, read_feed_page
from worker.playground.demo.waiting import Otherwise

__all__ = [
    "BLIND",
    "CHECKED",
    "CONFIRMING",
    "EVERY",
    "IPAY",
    "MONEYBAG",
    "NEWER",
    "ONEPAYBD",
    "OPENED",
    "PAYPARSE",
    "QUICK",
    "READY_SECONDS",
    "SHADHINPAY",
    "STORIES",
    "TELLS_THE_END",
    "Browser",
    "Child",
    "Control",
    "ControlError",
    "DemoFeed",
    "Document",
    "Gateway",
    "Otherwise",
    "Refused",
    "Scene",
    "Stage",
    "StoryShop",
    "System",
    "ToldEvent",
    "all_heard",
    "answers",
    "environment",
    "free_ports",
    "play",
    "read_event",
    "read_feed_page",
    "shop_pages",
    "shorten",
    "staged",
]


class Child(children.Child):
    def interrupt(self, seconds: float = children.STOP_SECONDS) -> int:
        """Send Ctrl-C. Returns its exit code. Raises subprocess.TimeoutExpired."""
        self._end(signal.SIGINT, seconds)
        assert self._process is not None, "it was started"
        return self._process.wait(0)

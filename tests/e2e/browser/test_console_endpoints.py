"""A webhook that failed, in the console: seen, sent again, and delivered before the operator's eyes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from schemas.secret import Secret
from tests.consoles import Console, running_console
from tests.e2e.browser.chromium import BANGLA, Windows
from tests.e2e.browser.console_browser import at_console, looked_over_in_all_ways
from tests.integration.endpoints import SECRET, Hook, happen, hooking
from tests.integration.test_webhook_api import configured
from tests.processes import until
from worker.config import Webhook
from worker.config.webhook_endpoints import endpoints_of
from worker.deliver.role import Deliver
from worker.postgres.database import Database
from worker.postgres.events.endpoint_rows import known_endpoints
from worker.telemetry.metrics import Metrics


class Scene:
    """A console beside the role `deliver`, and the endpoint `main` of a shop, which answers 500 until it is mended."""

    def __init__(self, console: Console, deliver: Deliver, database: Database, hook: Hook, path: str) -> None:
        self.console, self.deliver, self.database, self.hook, self.path = console, deliver, database, hook, path

    async def told(self) -> str:
        """Make an event, and wait until it was sent once. Returns its id."""
        (event_id,) = await happen(self.database, merchant="shop")
        self.deliver.wake(placed=True)
        await self.until("answer IS NOT NULL")
        return event_id

    async def until(self, holds: str) -> None:
        """Wait until this holds of the delivery."""

        async def look() -> bool:
            return bool(await self.database.fetch(f"SELECT FROM deliveries WHERE {holds}"))

        await until(look, what=holds)


@pytest.fixture
async def scene(database: Database, windows: Windows) -> AsyncIterator[Scene]:
    async with hooking(Hook(500)) as hook:
        config = configured(Webhook(id="main", url=hook.url, secret=Secret(SECRET)))
        deliver = Deliver(database, endpoints_of(config), Metrics(), private=True)
        await deliver.begin()
        (endpoint,) = await known_endpoints(database, endpoints_of(config))
        async with asyncio.TaskGroup() as group, running_console(database, config=config) as console:
            group.create_task(deliver.run())
            yield Scene(console, deliver, database, hook, f"/endpoints/{endpoint.id}")
            await windows.close()
            deliver.stop()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_webhook_that_failed_is_sent_again_and_delivered(windows: Windows, scene: Scene, scripts: bool) -> None:
    event_id = await scene.told()
    page = await at_console(windows, scene.console, "omar", "/endpoints", scripts=scripts)
    await expect(page.get_by_text("Events that wait: 1")).to_be_visible()
    await page.get_by_role("link", name="main").click()
    await expect(page.get_by_text("HTTP 500").first).to_be_visible()
    await page.get_by_role("link", name=event_id).click()
    await expect(page.get_by_text("HTTP 500").first).to_be_visible()
    await expect(page.get_by_text("webhook-signature")).to_be_visible()
    scene.hook.answers = 204
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Delivery to main")
    if not scripts:
        await scene.until("delivered_at IS NOT NULL")
        await page.reload()
    await expect(page.locator(".badge.good")).to_have_text("delivered", timeout=15_000)
    assert scene.hook.taken == [event_id]


@pytest.mark.parametrize("locale", ["en-US", BANGLA])
async def test_the_pages_on_a_phone_and_at_a_desk_light_and_dark(windows: Windows, scene: Scene, locale: str) -> None:
    event_id = await scene.told()
    page = await at_console(windows, scene.console, "omar", "/endpoints", locale=locale)
    await looked_over_in_all_ways(windows, page, f"endpoints {locale}")
    for path, name in (
        (scene.path, "endpoint"),
        (f"{scene.path}/deliveries/{event_id}", "delivery"),
        ("/events?merchant=shop&type=payment.completed", "events"),
        (f"/events/{event_id}", "event"),
    ):
        await page.goto(f"{scene.console.url}{path}")
        await looked_over_in_all_ways(windows, page, f"{name} {locale}")

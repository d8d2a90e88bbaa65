"""A service that a proxy serves under a path of its host: every link that leaves the service has that path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest

from tests.e2e.buyers import WEBHOOK_SECRET, Payproof
from tests.e2e.conftest import SETTINGS
from tests.e2e.test_returns import nothing_durable
from tests.harness import Child, System, staged
from tests.processes import directory

PATH = "/pay/v2"


@pytest.fixture(scope="module")
def installed() -> Iterator[System]:
    with directory() as place:
        system = System(place, settings=SETTINGS, secret=WEBHOOK_SECRET)
        settings = {**system.settings, "PAYPROOF_PUBLIC_URL": f"{system.url}{PATH}"}
        system.service = Child("payproof", "worker.cli", "serve", log=place / "payproof.log", settings=settings)
        system.start()
        try:
            yield system
        finally:
            system.stop()


def links(page: str) -> set[str]:
    """Every address of ours on a page: its own poll and refresh, and the same page in the other language."""
    found = re.findall(r'(?:data-again|href)="([^"]*)"|content="[0-9]+;url=([^"]*)"', page)
    return {unescape(one or other) for one, other in found if not (one or other).startswith(("data:", "http"))}


async def test_a_buyer_goes_the_whole_way_under_it(installed: System) -> None:
    async with staged(installed) as stage:
        payproof = Payproof(installed, stage)
        buyer = await payproof.opened("onepaybd")
        payment_id = buyer.payment["payment_id"]
        returned = await buyer.at_gateway("pay")
        assert urlsplit(returned).path.startswith(f"{PATH}/return/shop-onepaybd/{payment_id}")
        answered = await payproof.call("GET", returned)
        assert answered.status == 303
        payment = await payproof.settled(payment_id, "completed")
        assert payment["checkout_url"]
        await stage.feed.until(payment_id, bool, seconds=20)
        (opened,) = [told for told in stage.feed.all if told.id == f"{payment_id}.1"]
        schema = json.loads(opened.raw)["dataschema"]
        assert schema == f"{installed.url}{PATH}/schemas/payment-1.json"
        document = await payproof.call("GET", schema)
        assert (document.status, document.json["$id"]) == (200, schema)
        described = await payproof.call("GET", f"{installed.url}{PATH}/openapi.json")
        assert described.json["servers"] == [{"url": f"{installed.url}{PATH}"}]


async def test_every_page_that_waits_leads_on_under_it(installed: System) -> None:
    async with staged(installed) as stage:
        payproof = Payproof(installed, stage)
        buyer = await payproof.opened("ipay")
        path = f"{PATH}/return/shop-ipay/{buyer.payment['payment_id']}"
        confirming = await payproof.call("GET", f"{path}?lang=bn")
        assert confirming.status == 200
        found = links(confirming.text)
        assert len(found) > 1
        assert all(link.startswith(f"{path}/wait?since=") for link in found), found
        for link in found:
            assert links((await payproof.call("GET", link)).text), "it leads on from there too"
        async with nothing_durable(payproof):
            busy = await payproof.call("POST", path, data={"status": "success"})
        assert busy.status == 503
        assert all(link.startswith(path) for link in links(busy.text)), busy.text


async def test_a_proxy_that_takes_the_path_away_loses_nothing(installed: System) -> None:
    async with staged(installed) as stage:
        payproof = Payproof(installed, stage)
        buyer = await payproof.opened("ipay")
        returned = urlsplit(await buyer.at_gateway("pay"))
        answered = await payproof.call("GET", f"{returned.path.removeprefix(PATH)}?{returned.query}")
        assert answered.status == 303

"""Gateways that hang, limit, answer with pages, lose their answers and contradict themselves, under the fleet."""

from __future__ import annotations

from tests.fault.fleet import Fleet
from tests.fault.load import buying
from tests.harness import CHECKED, SHADHINPAY, Scene

TROUBLES = ("timeout", "429", "html", "503", "reset", "lost_answer", "slow", "401")


async def test_every_trouble_of_every_gateway_passes(fleet: Fleet) -> None:
    async with buying(fleet) as load:
        for gateway in CHECKED:
            for trouble in TROUBLES:
                named = {"provider": gateway.provider, "trouble": trouble, "on": "status", "seconds": 1, "times": 1}
                await load.stage.control.post("troubles", **named)
        await load.more(20)


async def test_one_that_contradicts_itself_is_held_for_a_person(fleet: Fleet) -> None:
    async with buying(fleet, buyers=2, warm=2) as load:
        scene = Scene(load.stage, SHADHINPAY, 1)
        await scene.open()
        await scene.returns(await scene.at_gateway("pay"))
        await scene.until("opened", "completed")
        await scene.gateway_troubles("contradiction", on="status", times=1)
        await scene.stage.shop.verify(scene.payment["payment_id"])
        payment = await scene.until("opened", "completed", "held")
        assert (payment["status"], payment["hold"]) == ("completed", "contradiction")

"""What holds in every way of running the roles as processes, stated once: with logins of their own, or behind a pooler.

A module that has a fixture `payproof` of its own runs these tests by a class that inherits from `WholeWay`.
"""

from __future__ import annotations

from tests.e2e.buyers import Payproof


class WholeWay:
    async def test_a_buyer_who_never_comes_back_is_found_by_the_sweep(self, payproof: Payproof) -> None:
        scene = await payproof.opened("ipay")
        await scene.at_gateway("pay", webhook=False)
        await scene.until("opened", "completed")

    async def test_what_does_not_fit_is_held_and_a_person_resolves_it(self, payproof: Payproof) -> None:
        scene = await payproof.opened("moneybag", order="held")
        await scene.returns(await scene.at_gateway("pay", amount="1.00"))
        await scene.until("opened", "held")
        decision = {"status": "completed", "actor": "anik", "reason": "seen at the bank"}
        path = f"/v1/payments/{scene.payment['payment_id']}/resolve"
        assert (await payproof.shop_calls("POST", path, json=decision)).status == 200
        await scene.until("opened", "held", "completed")

"""Where a returning buyer is sent: the shop's own URL with the parameters that payproof adds."""

from __future__ import annotations

import pytest

from schemas.payments import Glance
from schemas.secret import Secret
from schemas.words import Status
from worker.config import Merchant
from worker.ingress.redirect import shop_url

MERCHANT = Merchant(id="shop", api_keys=(Secret("key"),))


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("?t=%FF&name=a%20b&flag&empty=", "?t=%FF&name=a%20b&flag&empty=&"),
        ("?a=1&a=2&status=completed&st%61tus=x&signature=0", "?a=1&a=2&"),
        ("?&", "?"),
        ("", "?"),
    ],
)
def test_the_shops_own_parameters_stay_as_it_wrote_them(own: str, kept: str) -> None:
    payment = Glance(
        id="pay_00000000000000000000000000",
        account="shop-ipay",
        reference="order-1",
        return_url=f"https://shop.example/thanks{own}#top",
        status=Status.COMPLETED,
        holds=(),
        version=2,
    )
    added = f"payment_id={payment.id}&reference=order-1&status=completed"
    assert shop_url(payment, MERCHANT) == f"https://shop.example/thanks{kept}{added}#top"

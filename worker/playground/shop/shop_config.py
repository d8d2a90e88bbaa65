"""The shop's settings: where payproof is, its own key and secret, and the accounts it sells through."""

from __future__ import annotations

from msgspec import Struct


class Account(Struct, frozen=True):
    """A gateway account as payproof's configuration names it, and its name for buyers. `about` is for the catalogue."""

    id: str
    provider: str
    name: str
    about: str


ACCOUNTS = (
    Account("shop-payparse", "payparse", "PayParse", "asked by its session"),
    Account("shop-payparse-blind", "payparse", "PayParse, blind", "cannot be asked at all"),
    Account("shop-onepaybd", "onepaybd", "OnePayBD", "paid by Execute"),
    Account("shop-shadhinpay", "shadhinpay", "ShadhinPay", "signed webhooks"),
    Account("shop-moneybag", "moneybag", "Moneybag", "webhooks and IPN"),
    Account("shop-ipay", "ipay", "iPay", "names no amount"),
    Account("shop-sslcommerz", "sslcommerz", "SSLCOMMERZ", "returns by a form"),
    Account("shop-bkash", "bkash", "bKash", "paid by Execute, webhooks by SNS"),
    Account("shop-shurjopay", "shurjopay", "ShurjoPay", "names no outcome at returns"),
    Account("shop-aamarpay", "aamarpay", "aamarPay", "tells paid payments alone"),
    Account("shop-eps", "eps", "EPS", "asked by our reference"),
    Account("shop-uddoktapay", "uddoktapay", "UddoktaPay", "asked by an invoice of the return"),
)


class ShopConfig(Struct, frozen=True, kw_only=True):
    """`payproof_url` is the API's address, `secret` the `whsec_` one of the shop's `[[merchants.webhooks]]`.

    `public_url` is where browsers reach the shop, and `sandbox_url` where the simulated gateways are controlled; both
    are where a request came in, unless given.
    """

    payproof_url: str
    key: str
    secret: str | None = None
    accounts: tuple[Account, ...] = ACCOUNTS
    public_url: str | None = None
    sandbox_url: str | None = None

    def __repr__(self) -> str:
        return f"ShopConfig(payproof_url={self.payproof_url!r})"

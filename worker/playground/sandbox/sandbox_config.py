"""How a sandbox is set up: where it listens, where its state lies, its keys, and where its webhooks go.

The keys below are fixed and public, so that a config written for one sandbox fits every other. They open nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from msgspec import Struct, field

from worker.playground.shop.shop_config import ShopConfig

Provider = Literal[
    "payparse",
    "onepaybd",
    "shadhinpay",
    "moneybag",
    "ipay",
    "sslcommerz",
    "bkash",
    "shurjopay",
    "aamarpay",
    "eps",
    "uddoktapay",
]
GATEWAYS: tuple[Provider, ...] = get_args(Provider)

CREDENTIALS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "payparse": {"api_key": "sandbox-payparse-key", "blind_api_key": "sandbox-payparse-blind-key"},
        "onepaybd": {"api_key": "sandbox-onepaybd-key"},
        "shadhinpay": {
            "client_id": "HM_sandbox",
            "business_id": "HB_sandbox",
            "api_key": "sk_test_sandbox",
            "webhook_secret": "whsec_shadhinpay_sandbox",
        },
        "moneybag": {"api_key": "sandbox-moneybag-key", "webhook_secret": "whsec_moneybag_sandbox"},
        "ipay": {"api_key": "sandbox-ipay-key"},
        "sslcommerz": {"store_id": "sandboxstore001", "store_password": "sandbox-sslcommerz-password"},
        "aamarpay": {"store_id": "sandbox-aamarpay", "signature_key": "sandbox-aamarpay-key"},
        "shurjopay": {"username": "sandbox-shurjopay", "password": "sandbox-shurjopay-password", "prefix": "SPSBX"},
        "bkash": {
            "app_key": "sandbox-bkash-app-key",
            "app_secret": "sandbox-bkash-app-secret",
            "username": "sandbox-bkash-user",
            "password": "sandbox-bkash-password",
            "topic_arn": "arn:aws:sns:ap-southeast-1:000000000000:bpt_01929918000",
        },
        "eps": {
            "merchant_id": "5d4a1f8e-0000-4000-8000-000000000001",
            "store_id": "5d4a1f8e-0000-4000-8000-000000000002",
            "username": "sandbox-eps-user",
            "password": "sandbox-eps-password",
            "hash_key": "sandbox-eps-hash-key",
            "ipn_key": "sandbox-eps-ipn-key-of-32-bytes!",
        },
        "uddoktapay": {"api_key": "sandbox-uddoktapay-key"},
    }
)

WEBHOOK_EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # cancelled and expired are opt-in (https://shadhinpay.com/docs/developers/webhooks)
        "shadhinpay": ("payment.completed", "payment.failed", "payment.refunded"),
        "moneybag": ("payment.success", "payment.failed", "payment.cancelled", "payment.refunded"),
        "bkash": ("Notification",),
        "eps": ("IPN",),
        "uddoktapay": ("webhook",),
    }
)


class SandboxConfig(Struct, frozen=True, kw_only=True):
    """Settings of one sandbox. Durations in seconds.

    `state` is an SQLite file or `:memory:`. `seed` makes the ids of a fresh state repeat from run to run; None draws a
    seed. A state file keeps the seed it began with, unless `reset` begins it anew. `credentials` overrides single keys
    of `CREDENTIALS`. `public_url` is what browsers reach the sandbox by where the request's own host is not (in
    compose). Webhooks are tried `webhook_attempts` times, after `webhook_base_delay`, twice that, and so on.
    `ipay_order_amount` false leaves out iPay's `orderAmount`, which clients saw and no documentation has. `shop` is the
    demo shop at `/`; None serves a page instead.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    state: str = ":memory:"
    seed: int | None = None
    reset: bool = False
    public_url: str | None = None
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    webhook_urls: Mapping[str, str] = field(default_factory=dict)
    webhook_events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    webhook_attempts: int = 6
    webhook_base_delay: float = 5.0
    webhook_timeout: float = 10.0
    token_seconds: int = 3600
    ipay_order_amount: bool = True
    shop: ShopConfig | None = None

    def credential(self, gateway: str, name: str) -> str:
        return self.credentials.get(gateway, {}).get(name) or CREDENTIALS[gateway][name]

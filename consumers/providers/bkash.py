"""bKash itself: Tokenized Checkout (`bkash_checkout.py`) with a merchant's own credentials, and its SNS notifications.

Source: BK, as `bkash_checkout.py` names it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Annotated, ClassVar

from msgspec import Meta

from consumers.providers import kit
from consumers.providers.bkash_checkout import STATUSES, CallPaths, TokenizedCheckout
from consumers.providers.bkash_sns import TOPIC_PATTERN, check_message, read_message

__all__ = ["STATUSES", "BKash"]

_PATHS = CallPaths(
    grant="/tokenized/checkout/token/grant",
    create="/tokenized/checkout/create",
    execute="/tokenized/checkout/execute",
    status="/tokenized/checkout/payment/status",
)

_Topic = Annotated[
    str,
    Meta(
        pattern=TOPIC_PATTERN, extra={"say": "must be the ARN of an SNS topic: arn:aws:sns:<region>:<12 digits>:<name>"}
    ),
]


class BKash(TokenizedCheckout, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bKash account. With `capture` only payproof calls Execute. Without it the shop does, and we only ask.

    `topic_arn`: the topic of bKash's notifications. Without it none is accepted, because any customer of AWS can have a
    message signed that comes from a topic of their own.
    """

    name: ClassVar[str] = "bkash"
    usual_lifetime: ClassVar[int] = 1800
    shortest_lifetime: ClassVar[int] = 1  # none is documented

    app_key: kit.Secret
    app_secret: kit.Secret
    username: kit.Secret
    password: kit.Secret
    capture: bool = True
    topic_arn: _Topic | None = None

    @property
    def capabilities(self) -> kit.Capabilities:
        """`Initiated` after the end proves nothing: how long a paymentID can be paid is not documented."""
        return kit.Capabilities(
            always=frozenset({*kit.Id, kit.MoneyField.AMOUNT, kit.MoneyField.CURRENCY}),
            asked_by=frozenset({kit.Id.SESSION}),
            shows_refunds=False,
            executes=self.capture,
            signs=True,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        if self.topic_arn is not None:
            return ()
        return ("bKash's webhooks get 401 until topic_arn is configured; returns and checks find every payment",)

    def call_paths(self) -> CallPaths:
        return _PATHS

    def keys(self, token: str | None) -> Iterable[tuple[str, str]]:
        """The token stands as it is, without `Bearer`."""
        if token is None:
            return (("username", self.username.reveal()), ("password", self.password.reveal()))
        return (("authorization", token), ("x-app-key", self.app_key.reveal()))

    def grant(self) -> Generator[kit.HttpRequest, kit.HttpReply, kit.Token | kit.Inconclusive]:
        """A new token each time. Refresh is not used: more than two an hour block the account."""
        return self.granted({"app_key": self.app_key.reveal(), "app_secret": self.app_secret.reveal()})

    def authenticate(self, callback: kit.Callback) -> kit.Signed | kit.Unsigned | kit.Forged | kit.CertificateWanted:
        """Returns are unsigned: what their `signature` covers is UNKNOWN. Notifications are signed by Amazon SNS."""
        if callback.source is not kit.Source.WEBHOOK:
            return kit.Unsigned()
        return check_message(callback, self.topic_arn, self.base_url)

    def read_claim(self, callback: kit.Callback) -> kit.CallbackContent:
        return read_message(callback) if callback.source is kit.Source.WEBHOOK else self.read_return(callback)

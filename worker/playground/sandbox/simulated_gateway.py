"""A simulated gateway as the rest of the sandbox sees it: endpoints, errors, redirects of its pages, events.

An endpoint's handler is synchronous and runs inside one transaction. So a process that is killed has either done all of
a call or nothing of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace

from worker.playground.sandbox.gateway_call import GatewayEndpoint, GatewayReply
from worker.playground.sandbox.sandbox_config import SandboxConfig
from worker.playground.sandbox.sessions import Session, Sessions, Standing, Transaction
from worker.playground.sandbox.state import State

Deed = Literal["pay", "fail", "cancel", "walk_away"]
Happening = Literal["paid", "failed", "cancelled", "expired", "refunded"]
Shows = Literal["redirect_ids", "second_payment", "part_refund", "full_refund", "risk", "json_in_json", "review"]
Path = tuple[str, ...]
Change = tuple[Path, object]


class WayBack(Struct, frozen=True):
    """Where the browser goes from a hosted page: by GET, or with `form` by a POST from another site."""

    url: str
    form: Mapping[str, str] | None = None


class Impossible(Exception):
    """The requested action cannot happen to this session. The message says why."""


class SimulatedGateway(ABC):
    """One simulated gateway.

    `tampers` says, for each trouble that falsifies an answer, which places in it to overwrite. A place that the answer
    does not have is skipped, unless it is in `adds`. `shows` says which rarer events a receiver can notice at all: the
    payment that a redirect is about, a second payment of one checkout, a partial or full refund, a payment at risk, an
    answer that is encoded twice, a review of the payment that ends later. A value of `tampers` that can be called makes
    the new value of the old. `panel`: the shop's account has one address for unsigned notifications, set like that of
    webhooks.
    """

    name: ClassVar[str]
    tampers: ClassVar[Mapping[str, tuple[Change, ...]]]
    adds: ClassVar[frozenset[Path]] = frozenset()
    shows: ClassVar[frozenset[Shows]] = frozenset()
    panel: ClassVar[bool] = False

    def __init__(self, config: SandboxConfig, state: State) -> None:
        self.config = config
        self.state = state
        self.sessions = Sessions(state)

    @abstractmethod
    def endpoints(self) -> tuple[GatewayEndpoint, ...]: ...

    @abstractmethod
    def failure(self, status: int, message: str) -> GatewayReply:
        """An error of any HTTP status in this gateway's own shape."""

    @abstractmethod
    def redirect(self, session: Session, deed: Deed) -> str:
        """Where the browser goes after the deed."""

    def posted(self, session: Session, deed: Deed) -> Mapping[str, str] | None:  # noqa: ARG002 - those that post need it
        """The fields that the browser posts there; None where it follows a redirect."""
        return None

    def way_back(self, session: Session, deed: Deed) -> WayBack:
        return WayBack(self.redirect(session, deed), self.posted(session, deed))

    def forged(self, form: Mapping[str, str]) -> Mapping[str, str]:
        """The form as somebody sends it who does not know the shop's secret."""
        return form

    @abstractmethod
    def new_transaction_id(self, draw: Random) -> str: ...

    def not_found(self) -> GatewayReply:
        return self.failure(404, "Not found")

    def unknown(self, query: Mapping[str, str]) -> GatewayReply:  # noqa: ARG002 - those that repeat the id need it
        """The answer to a question about an id that it does not know."""
        return self.not_found()

    def unreadable(self, why: str) -> GatewayReply:
        """The answer to a body that is no JSON object."""
        return self.failure(400, f"Invalid request body: {why}")

    def closed_link(self, session: Session) -> str | None:  # noqa: ARG002 - the gateways that redirect need it
        """Where a browser goes that opens the checkout of a session no longer payable; None: a page says so."""
        return None

    def checkout_url(self, base: str, session_id: str) -> str:
        return f"{base}/checkout/{session_id}"

    def swayed(self, session: Session, deed: Deed) -> Deed:  # noqa: ARG002 - ShadhinPay's test numbers need it
        """The deed that really happens when the buyer does this."""
        return deed

    def pay(self, session: Session, *, transaction_id: str | None) -> Session:
        """The buyer pays the session's amounts. Returns the changed session."""
        return self.collect(session, transaction_id=transaction_id)

    def end(self, session: Session, status: Standing) -> Session:
        """The buyer's attempt failed or was cancelled."""
        return self.sessions.save(replace(session, status=status))

    def review(self, session: Session) -> Session:
        """The buyer paid, and a person at the gateway looks at it first."""
        return self.sessions.save(replace(session, status="review"))

    def draw(self, reference: str) -> Random:
        """The source of this order's ids."""
        return self.state.draw(self.name, reference)

    def another(self, session: Session, reference: str) -> Session:
        """A second order like this one, not yet saved, for gateways whose redirects name a payment."""
        raise NotImplementedError(f"a redirect of {self.name} names no payment: {session.session_id} {reference}")

    def ends_at(self, reference: str, seconds: float) -> float:
        """When a session opened now is over: after so many seconds, unless the control API set others."""
        return self.state.now() + float(self.state.setting(f"lifetime {self.name} {reference}") or seconds)

    def walk_away(self, session: Session) -> Session:
        """The buyer looked at the page and left."""
        return session

    def collect(self, session: Session, *, transaction_id: str | None) -> Session:
        """Book the money of this session."""
        now = self.state.now()
        transaction_id = transaction_id or self.new_transaction_id(self.draw(session.reference))
        paid = replace(session, status="paid", transaction_id=transaction_id, paid_at=now)
        self.book(paid, "paid")
        return self.sessions.save(paid)

    def book(self, session: Session, status: Standing) -> None:
        """Record one attempt to pay, under the session's present transaction id."""
        self.sessions.add_transaction(
            Transaction(
                provider=self.name,
                transaction_id=session.transaction_id or "",
                session_id=session.session_id,
                status=status,
                amount=session.told_amount,
                currency=session.told_currency,
                made_at=self.state.now(),
            )
        )

    def event_type(self, happening: Happening) -> str | None:  # noqa: ARG002 - those with webhooks need it
        """The webhook event for this happening; None where this gateway sends no webhooks."""
        return None

    def event_body(self, session: Session, happening: Happening, event_id: str) -> dict[str, Any]:
        raise NotImplementedError(f"{self.name} sends no webhooks: {session.session_id} {happening} {event_id}")

    def secret(self) -> str:
        """What this gateway signs its webhooks with."""
        return self.config.credential(self.name, "webhook_secret")

    def event_url(self, session: Session) -> str | None:  # noqa: ARG002 - those whose orders name an address need it
        """The address for webhooks that this order named itself; None: the gateway's own setting counts."""
        return None

    def event_request(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of one attempt, signed at the real Unix time `at`."""
        headers = self.event_headers(body, event_id, event_type, at=at, attempt=attempt, secret=secret)
        return body, {"Content-Type": "application/json", **headers}

    def event_headers(
        self, body: bytes, event_id: str, event_type: str, *, at: int, attempt: int, secret: str
    ) -> dict[str, str]:
        """The headers of one attempt, signed at the real Unix time `at`."""
        raise NotImplementedError(f"{self.name} signs no webhooks: {event_id} {event_type} {at} {attempt} {len(body)}")

    def notification(self, session: Session, happening: Happening) -> tuple[str, dict[str, str]] | None:  # noqa: ARG002
        """The unsigned form this order wants posted, as URL and fields; None where it wants none."""
        return None


def about_session(gateway: SimulatedGateway, session_id: str | None) -> str | None:
    """The reference of a session, for `GatewayEndpoint.about`."""
    session = gateway.sessions.get(gateway.name, session_id) if session_id else None
    return session.reference if session else None

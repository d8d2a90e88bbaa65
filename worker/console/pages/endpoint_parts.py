"""What the pages about endpoints, deliveries and events share."""

from __future__ import annotations

import re

import htpy as h

from worker.config.webhook_endpoints import Endpoint, endpoint_of
from worker.console.elements import age, form
from worker.console.route_table import may_act
from worker.console.told_sentences import in_bangla
from worker.console.visit import Visit
from worker.postgres.events.delivery_reads import Delivery, DeliveryState
from worker.postgres.events.endpoint_reads import EndpointReport, EndpointState
from worker.postgres.events.endpoint_rows import known_endpoints

_DELIVERY_TONES = {DeliveryState.DELIVERED: "good", DeliveryState.WAITING: "hand", DeliveryState.GIVEN_UP: "stop"}
_ENDPOINT_TONES = {
    EndpointState.NEW: "quiet",
    EndpointState.DELIVERING: "good",
    EndpointState.FAILING: "hand",
    EndpointState.BLOCKED: "stop",
}


def configured_endpoints(visit: Visit, merchant: str | None = None) -> list[Endpoint]:
    """The endpoints that the configuration gives the operator's merchants, or one of them."""
    return [
        endpoint_of(one.id, webhook)
        for one in visit.merchants
        if merchant in (None, one.id)
        for webhook in one.webhooks
    ]


async def endpoints_seen(visit: Visit, merchant: str | None = None) -> tuple[Endpoint, ...]:
    """The same endpoints with the ids of their rows, by which pages and deliveries name them."""
    return await known_endpoints(visit.database, configured_endpoints(visit, merchant))


async def endpoint_of_path(visit: Visit) -> Endpoint | None:
    """The endpoint of the path; None where the operator sees none of this id."""
    wanted = visit.request.match_info["webhook_id"]
    return next((one for one in await endpoints_seen(visit) if one.id == wanted), None)


def name_of(endpoint: Endpoint) -> str:
    return endpoint.configured_id or endpoint.id


def endpoint_name(endpoint: Endpoint) -> h.Fragment:
    """An endpoint in a table: its name as a link to its page, and its host."""
    return h.fragment[h.a(href=endpoint_path(endpoint))[name_of(endpoint)], " ", h.small[endpoint.host]]


def endpoint_path(endpoint: Endpoint) -> str:
    return f"/endpoints/{endpoint.id}"


def delivery_path(endpoint: Endpoint, event_id: str) -> str:
    return f"/endpoints/{endpoint.id}/deliveries/{event_id}"


def state_badge(visit: Visit, state: DeliveryState) -> h.Element:
    return h.span(f".badge.{_DELIVERY_TONES[state]}")[visit.say(f"deliveries.{state}")]


def answer_words(visit: Visit, answer: str | None) -> str:
    """An answer in a table: its status, or why there was none."""
    status = re.fullmatch(r"it answered (\d+)", answer or "", re.ASCII)
    if status:
        return visit.say("attempts.status", status=status[1])
    return (in_bangla(answer or "") if visit.language == "bn" else None) or answer or ""


def short_type(kind: str) -> str:
    """A type of event in a table: `completed`."""
    return kind.removeprefix("payment.")


def next_words(visit: Visit, delivery: Delivery) -> str | None:
    """When a delivery that waits is sent; None for any other."""
    if delivery.next_at is None:
        return None
    seconds = (delivery.next_at - visit.now).total_seconds()
    return visit.say("deliveries.now") if seconds <= 0 else visit.say("deliveries.in", time=age(visit, seconds))


def resend_form(visit: Visit, endpoint: Endpoint, event_id: str, *, named: bool = False) -> h.Node:
    """The button that sends the event to the endpoint again; nothing for a role that may not."""
    if not may_act(visit):
        return None
    words = visit.say("deliveries.resend_to", name=name_of(endpoint)) if named else visit.say("deliveries.resend")
    return form(visit, f"{delivery_path(endpoint, event_id)}/resend", h.button[words], kind="inline")


def endpoint_badge(visit: Visit, state: EndpointState) -> h.Element:
    return h.span(f".badge.{_ENDPOINT_TONES[state]}")[visit.say(f"endpoints.{state}")]


def waits_for(visit: Visit, found: EndpointReport) -> str:
    """How long the oldest event waits; empty where none does."""
    since = found.oldest_waiting
    return "" if since is None else age(visit, (visit.now - since).total_seconds())

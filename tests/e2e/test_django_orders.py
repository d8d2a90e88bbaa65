"""The orders of the Django shop, in every order of their events, and the shop's own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.django_shop import Site, copied
from tests.e2e.two_attempts import STORIES, Snapshot, played

pytestmark = pytest.mark.timeout(700)  # the first installs Django


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with copied() as site:
        yield site


PLAY = """
import json
from pathlib import Path
from django.db import transaction
from django.utils import timezone
from payments.models import Order
from payments.paying import take

def opened(name, events):
    order = Order.objects.create(name=name, total="1500.50")
    for event in events:
        asked = {field: event[field] for field in ("reference", "order", "account", "amount", "currency")}
        order.attempts.get_or_create(reference=event["reference"], request=asked)
    return order

def run(name, events, slept):
    order, states, sent = opened(name, events), [], 0
    for step, event in enumerate(events):
        take(event)
        if slept == 0:
            take(event)  # events come twice
        order.refresh_from_db()
        states.append(order.state)
        if step >= slept:
            sent += Order.objects.filter(pk=order.pk, state="paid", sent_at=None).update(sent_at=timezone.now())
    return states, sent

ends = []
for name, events in json.loads(Path("stories.json").read_text()):
    for slept in range(len(events) + 1):
        with transaction.atomic():
            ends.append((name, events, slept, *run(name, events, slept)))
            transaction.set_rollback(True)
Path("ends.json").write_text(json.dumps(ends))
"""


def test_state_and_parcel_are_alike_in_each_order_of_events_whenever_the_parcel_leaves(site: Site) -> None:
    """The warehouse sleeps for some events, and then sends what may leave after each."""
    stories = {f"story-{number}": story for number, story in enumerate(STORIES)}
    played_out = [turn for mark, story in stories.items() for turn in played(story, mark)]
    (site.place / "stories.json").write_text(json.dumps(played_out))
    site.manage("shell", "-v", "0", "-c", PLAY)
    ends = json.loads((site.place / "ends.json").read_text())
    assert len(ends) == sum(len(events) + 1 for _, events in played_out)
    for name, events, slept, states, sent in ends:
        story = stories[name.rpartition("-")[0]]
        paid = [_paid(events[:step]) for step in range(1, len(events) + 1)]
        assert [state == "paid" for state in states] == paid, (story.name, events)
        assert states[-1] == story.ends, (story.name, events)
        assert sent == int(any(paid[slept:])), "once, where it was paid at any time that the warehouse was awake"


def _paid(events: list[Snapshot]) -> bool:
    """Whether one payment's newest snapshot is money that nobody has to look at."""
    newest: dict[Any, Snapshot] = {}
    for event in sorted(events, key=lambda event: int(event["version"])):
        newest[event["payment_id"]] = event
    return any((one["status"], one["hold"], one["risk"]) == ("completed", None, None) for one in newest.values())


def test_the_tests_that_the_shop_brings_pass(site: Site) -> None:
    site.manage("test", "--noinput")


def test_its_migrations_are_those_of_its_models(site: Site) -> None:
    assert "No changes" in site.manage("makemigrations", "--check", "--dry-run")
    assert "no issues" in site.manage("check")

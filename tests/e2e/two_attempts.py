"""Stories of an order with several attempts, and every order in which their events may come.

A story names the snapshots of each attempt in turn, and then whether the order may leave in the end.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

from msgspec import Struct

Snapshot = dict[str, Any]
PAID: Snapshot = {"status": "completed", "hold": None}
DOUBLE: Snapshot = {"status": "completed", "hold": "duplicate_for_order"}
REFUNDED: Snapshot = {"status": "refunded", "hold": None}
EXPIRED: Snapshot = {"status": "expired", "hold": None}
UNVERIFIED: Snapshot = {"status": "pending", "hold": "unverifiable"}
RISKY: Snapshot = PAID | {"risk": "high"}


class Story(Struct):
    """`ends` is the order's state by the Django shop's words."""

    name: str
    attempts: list[list[Snapshot]]
    ends: str


STORIES = [
    Story("the double is refunded", [[PAID], [DOUBLE, REFUNDED]], "paid"),
    Story("the double is released", [[PAID], [DOUBLE, PAID]], "paid"),
    Story("the double is held", [[PAID], [DOUBLE]], "paid"),
    Story("the first is refunded and the double released", [[PAID, REFUNDED], [DOUBLE, PAID]], "paid"),
    Story("the first is refunded and the double held", [[PAID, REFUNDED], [DOUBLE]], "held"),
    Story("both are refunded", [[PAID, REFUNDED], [DOUBLE, REFUNDED]], "refunded"),
    Story("an old attempt is held and ends", [[UNVERIFIED, EXPIRED], [PAID]], "paid"),
    Story("an old attempt is held", [[UNVERIFIED], [PAID]], "paid"),
    Story("an old attempt is paid late", [[EXPIRED, DOUBLE], [PAID]], "paid"),
    Story("the first is at risk and the second sound", [[RISKY], [PAID]], "paid"),
    Story("one is at risk", [[RISKY], [EXPIRED]], "held"),
    Story("none is paid", [[EXPIRED], [UNVERIFIED, EXPIRED]], "open"),
    Story("one of three is kept", [[PAID, REFUNDED], [DOUBLE, REFUNDED], [PAID]], "paid"),
]


def played(story: Story, mark: str, account: str = "shop-ipay") -> list[tuple[str, list[dict[str, Any]]]]:
    """Each order of the story's events, with an order's name of its own, which begins with `mark`."""
    fields: dict[str, Any] = {"account": account, "amount": "1500.50", "currency": "BDT", "risk": None}
    fields |= {
        "transaction_id": None,
        "refunded_amount": "0.00",
        "late": False,
        "checkout_url": None,
        "expires_at": None,
    }
    turns = permutations(
        (number, version, snapshot)
        for number, attempt in enumerate(story.attempts, 1)
        for version, snapshot in enumerate(attempt, 2)
    )
    made = []
    for turn, events in enumerate(turns, 1):
        name = f"{mark}-{turn}"
        told = [
            fields
            | {
                "payment_id": f"pay_{name}-{number}",
                "order": name,
                "reference": f"{name}-a{number}",
                "version": version,
            }
            | snapshot
            for number, version, snapshot in events
        ]
        made.append((name, told))
    return made

"""The frame that holds a message's properties: byte for byte what the client's own library writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq import spec
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from schemas.shown import CLOUD_EVENT
from worker.amqp.batch_publish import _header
from worker.amqp.messages import event_message

KIND: dict[str, Any] = {"content_type": "application/json", "message_type": "claim", "app_id": "payproof"}


@pytest.mark.parametrize("message_id", [None, "", "a", "b", "\x01", "m1", "x" * 32, "ab" * 127, "বিকাশ"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        KIND | {"delivery_mode": 2},
        KIND | {"delivery_mode": 1, "headers": {}},
        KIND | {"headers": {"traceparent": "00-1-2-01"}},
        {"expiration": "a", "correlation_id": "ab", "user_id": "bb", "priority": 1, "reply_to": "a"},
        {"timestamp": datetime(2026, 5, 17, 6, tzinfo=UTC), "message_type": "a" * 32},
    ],
)
def test_it_is_what_the_library_writes(message_id: str | None, more: dict[str, Any]) -> None:
    for number, size in ((1, 0), (7, 1_000), (7, 2**33)):
        properties = spec.Basic.Properties(message_id=message_id, **more)
        written = marshal(ContentHeader(properties=properties, body_size=size), number)
        assert _header(number, properties, size) == written
        assert _header(number, properties, size) == written, "the second time as the first"


def test_events_of_one_type_differ_in_their_ids_alone() -> None:
    for event_id in ("pay_1.2", "pay_2.2", "pay_1.3"):
        properties = event_message(event_id, "payment.completed", "shop", "shop-ipay", b"{}").properties
        assert properties.content_type == CLOUD_EVENT
        assert _header(1, properties, 2) == marshal(ContentHeader(properties=properties, body_size=2), 1)

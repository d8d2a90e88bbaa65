"""The published contract: files match the types, events match the files, and no change breaks a reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from hypothesis import given
from hypothesis import strategies as st

from consumers.money.write_event import write_event
from schemas.payments import Payment
from schemas.request_shape import Shape, Wrong
from schemas.requests import EXPECTED_PAYMENT, NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT
from schemas.shown import CLOUD_EVENT, PAYMENT_ID, PAYMENT_SCHEMA
from schemas.wire import read_json
from schemas.words import EventType, Hold, Risk, Status
from tests.compatibility.documents import breaks
from tests.contract import PUBLISHED, check_event, read, released, strict, todays, written
from worker.amqp.messages import event_message
from worker.api.request_samples import body_sample
from worker.api.samples import EXPECTED_SAMPLE, sample
from worker.deliver.trying import trial_event
from worker.runtime.ids import new_payment_id

PUBLIC = "https://pay.shop.example"
TODAY = todays()
NAMES = sorted(TODAY)
IN_ORDER = [
    "payment_id", "merchant", "account", "provider", "reference", "order", "status", "version", "hold", "late",
    "amount", "currency", "amount_verified", "refunded_amount", "fee", "method", "risk", "session_id", "transaction_id",
    "checkout_url", "description", "metadata", "opened_at", "expires_at", "completed_at", "checked_at",
]  # fmt: skip

ids = st.text("abcz019", min_size=1, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
amounts = st.decimals(min_value=0, max_value=Decimal("999999999999.99"), places=2)
payments = st.builds(
    Payment,
    id=st.text("abcxyz0189", min_size=26, max_size=26).map("pay_{}".format),
    merchant=ids,
    account=ids,
    provider=ids,
    reference=texts,
    order_ref=st.none() | texts,
    amount=amounts,
    currency=st.just("BDT"),
    description=texts,
    metadata=st.dictionaries(texts, texts, max_size=3),
    status=st.sampled_from(Status),
    holds=st.lists(st.sampled_from(Hold), max_size=2).map(tuple),
    version=st.integers(1, 10_000),
    late=st.booleans(),
    amount_verified=st.booleans(),
    refunded_amount=amounts,
    fee=st.none() | st.decimals(min_value=0, max_value=10_000, places=4),
    method=st.none() | texts,
    risk=st.none() | st.sampled_from(Risk),
    session_id=st.none() | texts,
    transaction_id=st.none() | texts,
    checkout_url=st.none() | texts,
    opened_at=times,
    expires_at=times,
    completed_at=st.none() | times,
    checked_at=st.none() | times,
)
kinds = st.sampled_from(EventType)


def utc(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")


def by_hand(payment: Payment, kind: EventType, time: datetime) -> dict[str, Any]:
    """The event as the contract has it, key by key."""
    fee = None if payment.fee is None else f"{payment.fee:.4f}"
    values = {
        name: getattr(payment, {"payment_id": "id", "order": "order_ref"}.get(name, name)) for name in IN_ORDER
    } | {
        "amount": f"{payment.amount:.2f}",
        "refunded_amount": f"{payment.refunded_amount:.2f}",
        "fee": fee and fee[:-2] + fee[-2:].rstrip("0"),
        **{name: utc(getattr(payment, name)) for name in ("opened_at", "expires_at", "completed_at", "checked_at")},
    }
    return {
        "specversion": "1.0",
        "id": f"{payment.id}.{payment.version}",
        "type": kind.value,
        "source": f"/payproof/{payment.merchant}/{payment.account}",
        "subject": payment.id,
        "time": utc(time),
        "datacontenttype": "application/json",
        "dataschema": "https://pay.shop.example/schemas/payment-1.json",
        "data": {name: values[name] for name in IN_ORDER},
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_published_file_says_what_the_types_say(name: str) -> None:
    assert (PUBLISHED / name).read_bytes() == written(TODAY[name]), "python -m tests.contract writes it anew"


def test_nothing_else_is_published() -> None:
    assert sorted(file.name for file in PUBLISHED.iterdir()) == NAMES


RELEASED = [(one, file) for one in released() for file in sorted(one.glob("*.json"))]


RESOLVE = "/v1/payments/{payment_id}/resolve post body application/json"
DESCRIBED_LATER = {f"{RESOLVE}.{field}: has another pattern" for field in ("reason", "evidence")}
"""Descriptions that were added after a release, of what the service refused already then."""
ONLY_WITH_OPERATORS = {"/v1/payments/{payment_id}/resolve post 202: is a new success"}
"""Answers that only an installation gives that has configured what no release knows: two people who decide."""


@pytest.mark.parametrize("file", [pytest.param(file, id=f"{one.name}-{file.name}") for one, file in RELEASED])
def test_nothing_that_was_released_is_broken(file: Any) -> None:
    assert set(breaks(read(file), TODAY[file.name])) <= DESCRIBED_LATER | ONLY_WITH_OPERATORS


def test_every_release_is_kept_whole() -> None:
    assert [one.name for one in released()] != []
    assert all({file.name for file in one.iterdir()} >= {"payment-1.json", "event-1.json"} for one in released())


@pytest.mark.parametrize("name", ["payment-1.json", "event-1.json"])
def test_the_schemas_are_sound_and_stay_open(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(TODAY[name])
    jsonschema.Draft7Validator.check_schema(TODAY[name])  # the version that AsyncAPI's tools read
    assert '"additionalProperties": false' not in (PUBLISHED / name).read_text()
    assert strict(TODAY[name])["additionalProperties"] is False


def test_words_stand_in_the_order_that_means_something() -> None:
    definitions = TODAY["event-1.json"]["$defs"]
    for vocabulary in (Status, Hold, EventType):
        assert definitions[vocabulary.__name__]["enum"] == list(vocabulary)
        for word in vocabulary:
            assert f"- `{word}`: " in definitions[vocabulary.__name__]["description"]


def test_every_field_says_what_it_is() -> None:
    for name, schema in TODAY["payment-1.json"]["properties"].items():
        assert "description" in schema or "$ref" in schema, name


def test_one_payment_is_shown_everywhere() -> None:
    defined = deepcopy(TODAY["payment-1.json"])
    shown = {key: value for key, value in defined.items() if key not in ("$schema", "$id", "$defs")}
    within = {
        "event-1.json": TODAY["event-1.json"]["$defs"],
        "openapi.json": TODAY["openapi.json"]["components"]["schemas"],
        "asyncapi.json": TODAY["asyncapi.json"]["components"]["schemas"],
    }
    for name, places in within.items():
        text = json.dumps(places["PaymentView"]).replace("#/components/schemas/", "#/$defs/")
        assert json.loads(text) == shown, name
        assert {word: places[word] for word in defined["$defs"]} == defined["$defs"], name


@given(payments, kinds, times)
def test_an_event_is_what_the_contract_says_byte_for_byte(payment: Payment, kind: EventType, time: datetime) -> None:
    body = write_event(payment, kind, time, PUBLIC).body
    assert body == json.dumps(by_hand(payment, kind, time), ensure_ascii=False, separators=(",", ":")).encode()


@given(payments, kinds, times)
def test_an_event_is_what_the_schema_says_and_nothing_more(payment: Payment, kind: EventType, time: datetime) -> None:
    check_event(json.loads(write_event(payment, kind, time, PUBLIC).body))


@pytest.mark.parametrize(
    "change",
    [
        {"further": 1},
        {"time": "yesterday"},
        {"id": "pay_1.1"},
        {"type": "payment.disputed"},
        {"dataschema": "https://pay.shop.example/schemas/payment-2.json"},
    ],
)
def test_an_event_that_is_not_is_refused(change: dict[str, Any]) -> None:
    event = json.loads(sample(EventType.HELD, PUBLIC).body)
    check_event(event)
    with pytest.raises(jsonschema.ValidationError):
        check_event(event | change)


@pytest.mark.parametrize("change", [{"further": 1}, {"amount": "1.5"}, {"status": "paid"}, {"completed_at": "noon"}])
def test_a_payment_that_is_not_is_refused(change: dict[str, Any]) -> None:
    event = json.loads(sample(EventType.HELD, PUBLIC).body)
    with pytest.raises(jsonschema.ValidationError):
        check_event(event | {"data": event["data"] | change})


def test_a_subscriber_that_validates_takes_what_is_added_later() -> None:
    event = json.loads(sample(EventType.COMPLETED, PUBLIC).body)
    event["data"]["payer"] = {"since": "a later version"}
    jsonschema.validate(event, TODAY["event-1.json"], jsonschema.Draft202012Validator)


@given(payments, kinds, times)
def test_the_cloudevents_sdk_reads_our_messages(payment: Payment, kind: EventType, time: datetime) -> None:
    event = write_event(payment, kind, time, PUBLIC)
    post = event_message(event.id, event.type, event.merchant, event.account, event.body)
    sent = post.properties
    over_amqp = from_amqp_event(AMQPMessage({"content-type": sent.content_type}, dict(sent.headers or {}), post.body))
    over_http = from_http_event(HTTPMessage({"content-type": CLOUD_EVENT}, event.body))
    for read_event in (over_amqp, over_http):
        assert read_event.get_id() == sent.message_id == event.id
        assert read_event.get_type() == sent.message_type == kind
        assert read_event.get_source() == f"/payproof/{payment.merchant}/{payment.account}"
        assert read_event.get_subject() == payment.id
        assert read_event.get_time() == time
        assert read_event.get_datacontenttype() == "application/json"
        assert read_event.get_dataschema() == PUBLIC + PAYMENT_SCHEMA
        assert read_event.get_data() == json.loads(event.body)["data"]


@pytest.mark.parametrize("kind", list(EventType))
def test_the_examples_are_events_as_they_are_written(kind: EventType) -> None:
    event = sample(kind, PUBLIC)
    (message,) = (one for one in TODAY["asyncapi.json"]["components"]["messages"].values() if one["name"] == kind)
    (example,) = message["examples"]
    assert msgspec.json.encode(example["payload"]) == event.body
    assert example["headers"]["message_id"] == event.id
    check_event(example["payload"])
    for part in ("headers", "payload"):  # the AsyncAPI parser does not look at them
        jsonschema.Draft7Validator(TODAY["asyncapi.json"] | message[part]).validate(example[part])


def test_the_routing_keys_are_the_channels_addresses() -> None:
    addresses = [one["address"] for one in TODAY["asyncapi.json"]["channels"].values()]
    for kind in EventType:
        event = sample(kind, PUBLIC)
        key = event_message(event.id, event.type, event.merchant, event.account, event.body).routing_key
        assert key in [one.format(merchant=event.merchant, account=event.account) for one in addresses]


def test_the_example_of_an_expected_payment_is_taken() -> None:
    wrong: list[Any] = []
    EXPECTED_PAYMENT.read(EXPECTED_SAMPLE, wrong)
    assert wrong == []
    jsonschema.validate(EXPECTED_SAMPLE, EXPECTED_PAYMENT.schema())


def test_a_test_event_is_what_the_document_says_and_nothing_more() -> None:
    event_id, body = trial_event("shop", datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC))
    schema = TODAY["openapi.json"]["components"]["schemas"]["TrialEvent"]
    document = {**strict(deepcopy(schema)), "components": strict(deepcopy(TODAY["openapi.json"]["components"]))}
    jsonschema.Draft202012Validator(document).validate(json.loads(body))
    assert json.loads(body)["id"] == event_id
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(document).validate({**json.loads(body), "payment_id": 1})


def _examples() -> list[tuple[str, Any, Any]]:
    """The place, the schema and the value of every example of `/openapi.json`."""
    api, found = TODAY["openapi.json"], []
    told = [(path, methods) for part in ("paths", "webhooks") for path, methods in api[part].items()]
    for path, methods in told:
        for method, operation in methods.items():
            parts = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for name, part in parts.items():
                if name == "body" or name.startswith("2"):
                    contents = part.get("content", {}).values()
                    found += [(f"{method} {path} {name}", one["schema"], one["example"]) for one in contents]
    return found


@pytest.mark.parametrize(("schema", "value"), [pytest.param(*rest, id=place) for place, *rest in _examples()])
def test_every_operation_has_an_example_that_fits_its_schema(schema: Any, value: Any) -> None:
    document = {**schema, "components": TODAY["openapi.json"]["components"]}
    checks = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(document, format_checker=checks).validate(value)


@pytest.mark.parametrize(
    ("operation", "shape"),
    [("openPayment", NEW_PAYMENT), ("trackPayment", TRACKED_PAYMENT), ("resolvePayment", RESOLUTION)],
)
def test_the_example_of_a_body_is_taken(operation: str, shape: Shape) -> None:
    wrong: list[Wrong] = []
    shape.read(read_json(json.dumps(body_sample(operation)).encode()), wrong)
    assert wrong == []


def test_every_event_type_is_a_webhook_of_the_document() -> None:
    assert set(TODAY["openapi.json"]["webhooks"]) == {*(kind.value for kind in EventType), "payproof.test"}


def test_every_body_and_message_has_a_name_and_no_two_names_are_one_name_to_a_generator() -> None:
    """A generator makes a class and a file of each name. An object without a name gets one such as `Body1`."""
    for name in ("openapi.json", "asyncapi.json"):
        document = TODAY[name]
        schemas = document["components"]["schemas"]
        lower = [one.lower() for one in schemas]
        assert len({*lower}) == len(lower)
        assert [one for one, schema in schemas.items() if one.lower() in schema.get("properties", {})] == []
        outside = {**document, "components": {**document["components"], "schemas": {}}}
        assert list(_objects(outside)) == []
        assert [one for schema in schemas.values() for one in _objects(schema.get("properties", {}))] == []


def _objects(part: Any) -> Iterator[Any]:
    """The schemas within that describe an object by its fields."""
    if isinstance(part, list):
        for one in part:
            yield from _objects(one)
    elif isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            yield part
        for name, one in part.items():
            if name not in ("example", "examples"):
                yield from _objects(one)


LINES = ["two\nlines", "a\ttab", "a\r\nline", "form\x0cfeed", "bell\x07", "next\x85", "", "বাংলা"]


@pytest.mark.parametrize("field", ["reason", "evidence"])
@pytest.mark.parametrize("text", LINES)
def test_the_document_refuses_of_a_resolution_what_the_service_refuses(field: str, text: str) -> None:
    body = {"status": "completed", "actor": "a", "reason": "r"} | {field: text}
    wrong: list[Wrong] = []
    RESOLUTION.read(read_json(json.dumps(body).encode()), wrong)
    schema = TODAY["openapi.json"]["components"]["schemas"]["Resolution"]
    assert jsonschema.Draft202012Validator(schema).is_valid(body) == (wrong == [])


def test_the_pattern_of_our_ids_is_written_once_and_fits_the_ids_that_are_made() -> None:
    root = Path(__file__).parents[2]
    written_in = [
        source.relative_to(root).as_posix()
        for part in ("schemas", "consumers", "worker")
        for source in sorted((root / part).rglob("*.py"))
        if re.search(r"pay_\[", source.read_text())
    ]
    assert written_in == ["schemas/shown.py"]
    assert re.fullmatch(PAYMENT_ID, new_payment_id())
    check = f"check (id ~ '^{PAYMENT_ID}$')"
    assert check in (root / "schemas/sql/0001_payments.sql").read_text(), "the table repeats it"

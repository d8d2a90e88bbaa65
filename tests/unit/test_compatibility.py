"""The judge of the contract's changes: it finds every break in today's documents, and accepts every addition."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import fields

from schemas.shown import PaymentEvent, PaymentView
from tests.compatibility.documents import breaks
from tests.compatibility.shapes import resolved
from tests.contract import todays
from worker.api.operations import OPERATIONS

TODAY = todays()
PAYMENT, EVENT, OPENAPI, ASYNCAPI = (
    TODAY[name] for name in ("payment-1.json", "event-1.json", "openapi.json", "asyncapi.json")
)
Change = Callable[[Any], Any]


def body(api: Any, path: str = "/v1/payments") -> Any:
    return resolved(api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"], api)


def listing(api: Any) -> Any:
    return api["paths"]["/v1/payments"]["get"]


def parameter(api: Any, name: str) -> Any:
    return next(one for one in listing(api)["parameters"] if one["name"] == name)


def wish(bus: Any) -> Any:
    return resolved(bus["components"]["messages"]["expectedPayment"]["payload"], bus)


def completed(bus: Any) -> Any:
    """The message, with its payload and headers in place of the references to them."""
    message = bus["components"]["messages"]["paymentCompleted"]
    message.update({part: resolved(message[part], bus) for part in ("payload", "headers")})
    return message


def nullable(schema: Any) -> Any:
    return {"anyOf": [schema, {"type": "null"}]}


BREAKS_OF_SHAPES: dict[str, Change] = {
    "a field may be missing": lambda it: it["required"].remove("amount"),
    "a field becomes nullable": lambda it: it["properties"].update(amount=nullable(it["properties"]["amount"])),
    "a field has another type": lambda it: it["properties"]["version"].update(type="string"),
    "a whole number becomes any": lambda it: it["properties"]["version"].update(type="number"),
    "a field may be anything": lambda it: it["properties"].update(amount={}),
    "a field loses its pattern": lambda it: it["properties"]["amount"].pop("pattern"),
    "a field has another pattern": lambda it: it["properties"]["amount"].update(pattern="^[0-9]+$"),
    "a field loses its format": lambda it: it["properties"]["opened_at"].pop("format"),
    "a field loses its bound": lambda it: it["properties"]["version"].pop("minimum"),
    "a field's bound is wider": lambda it: it["properties"]["version"].update(minimum=-1),
    "a nullable field may be another type": lambda it: it["properties"]["order"]["anyOf"].append({"type": "integer"}),
    "a value of a map has another type": lambda it: it["properties"]["metadata"].update(additionalProperties=True),
    "a new status": lambda it: it["$defs"]["Status"]["enum"].append("disputed"),
    "a new hold": lambda it: it["$defs"]["Hold"]["enum"].append("suspected"),
    "a list of words opens": lambda it: it["$defs"]["Status"].pop("enum"),
    "the address is another": lambda it: it.update({"$id": "/schemas/payment-2.json"}),
    "an object becomes a list": lambda it: it.update(type="array"),
}
ADDITIONS_TO_SHAPES: dict[str, Change] = {
    "nothing": lambda _: None,
    "a new optional field": lambda it: it["properties"].update(payer={"type": "string"}),
    "a new field that is always there": lambda it: (
        it["properties"].update(payer={"type": "string"}),
        it["required"].append("payer"),
    ),
    "an optional field is promised": lambda it: it["required"].append("further"),
    "a field is never null any more": lambda it: it["properties"].update(order={"type": "string"}),
    "a status is no longer used": lambda it: it["$defs"]["Status"]["enum"].remove("expired"),
    "a bound is narrower": lambda it: it["properties"]["version"].update(minimum=1),
    "a pattern where there was none": lambda it: it["properties"]["currency"].update(pattern="^[A-Z]{3}$"),
    "other words about it": lambda it: it["properties"]["amount"].update(description="Money.", examples=["1.00"]),
}
BREAKS_OF_THE_API: dict[str, Change] = {
    "a path is gone": lambda it: it["paths"].pop("/v1/events"),
    "a method is gone": lambda it: it["paths"]["/v1/payments"].pop("post"),
    "an operation has another name": lambda it: listing(it).update(operationId="getPayments"),
    "a key is needed": lambda it: it["paths"]["/openapi.json"]["get"].pop("security"),
    "a body's field is required": lambda it: body(it)["required"].append("order"),
    "a new field is required": lambda it: (
        body(it)["properties"].update(branch={"type": "string"}),
        body(it)["required"].append("branch"),
    ),
    "a body's field is gone": lambda it: body(it)["properties"].pop("order"),
    "a body's field may be shorter only": lambda it: body(it)["properties"]["order"].update(maxLength=10),
    "a body's field must be longer": lambda it: body(it)["properties"]["order"].update(minLength=5),
    "a body's field gets a pattern": lambda it: body(it)["properties"]["order"].update(pattern="^[a-z]+$", format="x"),
    "a word is no longer taken": lambda it: body(it, "/v1/payments/{payment_id}/resolve")["properties"]["status"][
        "enum"
    ].remove("failed"),
    "fewer names in a map": lambda it: body(it)["properties"]["metadata"].update(maxProperties=1),
    "a field of a field is gone": lambda it: resolved(body(it)["properties"]["customer"], it)["properties"].pop(
        "email"
    ),
    "a body is needed": lambda it: it["paths"]["/v1/payments/{payment_id}/verify"]["post"].update(
        requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    ),
    "JSON is no longer taken": lambda it: it["paths"]["/v1/payments"]["post"]["requestBody"].update(content={}),
    "a parameter is gone": lambda it: listing(it)["parameters"].remove(parameter(it, "status")),
    "a parameter is required": lambda it: parameter(it, "status").update(required=True),
    "a new parameter is required": lambda it: listing(it)["parameters"].append(
        {"name": "x", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "a parameter takes fewer": lambda it: parameter(it, "limit")["schema"].update(maximum=50),
    "a status code is gone": lambda it: listing(it)["responses"].pop("422"),
    "success has a new code": lambda it: listing(it)["responses"].update({"204": {"description": "None."}}),
    "an answer has another content type": lambda it: listing(it)["responses"]["200"].update(content={}),
    "a header is gone": lambda it: it["paths"]["/v1/payments"]["post"]["responses"]["201"].pop("headers"),
    "an answer's field may be missing": lambda it: it["components"]["schemas"]["PaymentPage"]["required"].remove(
        "next_cursor"
    ),
    "a field of the payment is gone": lambda it: it["components"]["schemas"]["PaymentView"]["properties"].pop("fee"),
    "a new kind of entry": lambda it: it["components"]["schemas"]["EntryKind"]["enum"].append("guess"),
}
ADDITIONS_TO_THE_API: dict[str, Change] = {
    "nothing": lambda _: None,
    "a new path": lambda it: it["paths"].update({"/v1/refunds": deepcopy(it["paths"]["/v1/events"])}),
    "a new method": lambda it: it["paths"]["/v1/events"].update(post=deepcopy(it["paths"]["/v1/payments"]["post"])),
    "a new optional field": lambda it: body(it)["properties"].update(branch={"type": "string"}),
    "a field need not be there": lambda it: body(it)["required"].remove("description"),
    "a field may be longer": lambda it: body(it)["properties"]["order"].update(maxLength=1000),
    "a field may be null": lambda it: body(it)["properties"].update(order=nullable(body(it)["properties"]["order"])),
    "a new currency": lambda it: body(it)["properties"]["currency"]["enum"].append("USD"),
    "a new optional parameter": lambda it: listing(it)["parameters"].append(
        {"name": "x", "in": "query", "schema": {"type": "string"}}
    ),
    "a new filter's word": lambda it: parameter(it, "provider")["schema"]["enum"].append("sixth"),
    "a new problem": lambda it: listing(it)["responses"].update({"423": {"description": "Locked."}}),
    "an answer has one field more": lambda it: it["components"]["schemas"]["PaymentPage"]["properties"].update(
        total={"type": "integer"}
    ),
    "a new header": lambda it: listing(it)["responses"]["200"].update(headers={"X": {"schema": {"type": "string"}}}),
}
BREAKS_OF_THE_BUS: dict[str, Change] = {
    "a channel is gone": lambda it: (
        it["channels"].pop("paymentCompleted"),
        it["operations"].pop("sendPaymentCompleted"),
    ),
    "a channel has another address": lambda it: it["channels"]["paymentCompleted"].update(address="payment.paid.#"),
    "another exchange": lambda it: it["channels"]["paymentCompleted"]["bindings"]["amqp"]["exchange"].update(name="x"),
    "a parameter is gone": lambda it: it["channels"]["paymentCompleted"]["parameters"].pop("account"),
    "a message is gone": lambda it: (
        it["channels"]["paymentCompleted"].update(messages={}),
        it["operations"]["sendPaymentCompleted"].update(messages=[]),
    ),
    "an operation is gone": lambda it: it["operations"].pop("sendPaymentCompleted"),
    "an operation has no message": lambda it: it["operations"]["sendPaymentCompleted"].update(messages=[]),
    "an operation is turned round": lambda it: it["operations"]["sendPaymentCompleted"].update(action="receive"),
    "another message is sent": lambda it: it["operations"]["sendPaymentCompleted"]["messages"].append(
        {"$ref": "#/components/messages/paymentFailed"}
    ),
    "no longer persistent": lambda it: it["operations"]["sendPaymentCompleted"]["bindings"]["amqp"].pop("deliveryMode"),
    "a message has another content type": lambda it: completed(it).update(contentType="application/json"),
    "a message has another type": lambda it: completed(it)["payload"]["allOf"][1]["properties"]["type"].update(
        const="x"
    ),
    "a message has a part more to fit": lambda it: completed(it)["payload"]["allOf"].pop(),
    "a message has no id": lambda it: completed(it)["headers"]["required"].remove("message_id"),
    "a field of the payment is gone": lambda it: it["components"]["schemas"]["PaymentView"]["properties"].pop("fee"),
    "a reply goes elsewhere": lambda it: it["operations"]["receivePaymentExpected"].pop("reply"),
    "what is published needs more": lambda it: wish(it)["required"].append("order"),
    "what is published may have less": lambda it: wish(it)["properties"].pop("order"),
    "a server is gone": lambda it: it["servers"].pop("rabbitmq"),
}
ADDITIONS_TO_THE_BUS: dict[str, Change] = {
    "nothing": lambda _: None,
    "a new channel": lambda it: it["channels"].update(refunds=deepcopy(it["channels"]["paymentCompleted"])),
    "a new operation": lambda it: it["operations"].update(again=deepcopy(it["operations"]["sendPaymentCompleted"])),
    "a new field": lambda it: it["components"]["schemas"]["PaymentView"]["properties"].update(payer={"type": "string"}),
    "a new property": lambda it: completed(it)["headers"]["properties"].update(priority={"type": "integer"}),
    "more may be published": lambda it: wish(it)["properties"].update(branch={"type": "string"}),
    "less must be published": lambda it: wish(it)["required"].remove("currency"),
}


def changed(document: Any, change: Change) -> Any:
    other = deepcopy(document)
    change(other)
    return other


def cases(*tables: tuple[Any, dict[str, Change]]) -> Any:
    return pytest.mark.parametrize(
        ("document", "change"),
        [pytest.param(document, change, id=name) for document, table in tables for name, change in table.items()],
    )


@cases((PAYMENT, BREAKS_OF_SHAPES), (OPENAPI, BREAKS_OF_THE_API), (ASYNCAPI, BREAKS_OF_THE_BUS))
def test_a_break_is_told(document: Any, change: Change) -> None:
    assert breaks(document, changed(document, change)) != []


@cases((PAYMENT, ADDITIONS_TO_SHAPES), (OPENAPI, ADDITIONS_TO_THE_API), (ASYNCAPI, ADDITIONS_TO_THE_BUS))
def test_an_addition_passes(document: Any, change: Change) -> None:
    assert breaks(document, changed(document, change)) == []


@pytest.mark.parametrize("name", [field.name for field in fields(PaymentView)])
def test_no_field_of_the_payment_can_go_or_become_null_unseen(name: str) -> None:
    def drop(payment: Any) -> None:
        del payment["properties"][name]
        payment["required"].remove(name)

    def blur(payment: Any) -> None:
        payment["properties"][name] = {"anyOf": [payment["properties"][name], {"type": "null"}, {"type": "integer"}]}

    before = {**PAYMENT, "required": [one for one in PAYMENT["required"] if one != name]}
    assert breaks(before, changed(before, lambda it: it["properties"].pop(name))) == [
        f".{name}: is no longer described"
    ]
    assert breaks(PAYMENT, changed(PAYMENT, drop)) != []
    assert breaks(PAYMENT, changed(PAYMENT, blur)) != []


@pytest.mark.parametrize("name", [field.name for field in fields(PaymentEvent)])
def test_no_attribute_of_the_event_can_go_unseen(name: str) -> None:
    assert breaks(EVENT, changed(EVENT, lambda it: it["properties"].pop(name))) != []
    if name in EVENT["required"]:
        assert breaks(EVENT, changed(EVENT, lambda it: it["required"].remove(name))) != []


def test_a_new_type_of_event_breaks_who_reads_them_all() -> None:
    more = changed(EVENT, lambda it: it["$defs"]["EventType"]["enum"].append("payment.disputed"))
    assert breaks(EVENT, more) == [".type: may be 'payment.disputed'"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_no_operation_and_no_code_of_it_can_go_unseen(operation: Any) -> None:
    def answers(api: Any) -> Any:
        return api["paths"][operation.path][operation.method]["responses"]

    assert breaks(OPENAPI, changed(OPENAPI, lambda it: it["paths"][operation.path].pop(operation.method))) != []
    for code in answers(OPENAPI):
        assert breaks(OPENAPI, changed(OPENAPI, lambda it, code=code: answers(it).pop(code))) != []


def test_a_keyword_that_nobody_judges_is_a_break() -> None:
    before = {**PAYMENT, "dependentRequired": {"hold": ["status"]}}
    assert breaks(before, PAYMENT) == [": has another dependentRequired"]

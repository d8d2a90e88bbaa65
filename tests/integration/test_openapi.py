"""`/openapi.json`: valid, complete, and followed by the running API; and the documents served beside it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract import check_event
from tests.integration.shops import KEYS, PUBLIC, Shops
from worker.api.documents import published
from worker.api.openapi import openapi_document
from worker.api.operations import OPERATIONS
from worker.api.routes import routes

EXAMPLES = 20
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


async def test_the_document_is_sound_and_for_everyone(shops: Shops) -> None:
    got = await shops.call("GET", "/openapi.json", shop=None)
    assert (got.status, got.body["openapi"]) == (200, "3.1.0")
    OpenAPIV31SpecValidator(got.body).validate()


async def test_every_route_is_in_the_document_and_nothing_else(shops: Shops) -> None:
    described = {(one.method.upper(), one.path) for one in OPERATIONS}
    routed = {(one.method, re.sub(r"\{(\w+):(?:[^{}]|\{\d+\})*\}", r"{\1}", one.path)) for one in routes(shops.api)}
    assert described == routed
    paths: dict[str, dict[str, Any]] = openapi_document(PUBLIC, "1")["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == described


async def test_every_keyed_operation_tells_its_problems(shops: Shops) -> None:
    for operation in OPERATIONS:
        described = openapi_document(PUBLIC, "1")["paths"][operation.path][operation.method]
        expected = {"401", "415", "500", "503"} if operation.keyed else set()
        assert expected <= set(described["responses"])
        if operation.body is not None:
            assert {"400", "413", "422"} <= set(described["responses"])


@pytest.mark.parametrize("path", list(published()))
async def test_every_document_is_for_everyone_and_may_be_kept(shops: Shops, path: str) -> None:
    got = await shops.call("GET", path, shop=None)
    assert (got.status, got.body) == (200, published(PUBLIC)[path])
    kind = "application/schema+json" if path.startswith("/schemas/") else "application/json"
    assert got.headers["Content-Type"].partition(";")[0] == kind
    for known, status in ((got.headers["ETag"], 304), ("*", 304), ('"another"', 200)):
        async with shops.session.get(shops.url + path, headers={"If-None-Match": known}) as again:
            assert (again.status, await again.read()) == (status, b"" if status == 304 else got.raw)
            assert again.headers["ETag"] == got.headers["ETag"]
            assert again.headers["Cache-Control"] == got.headers["Cache-Control"]
    assert (await shops.call("POST", path, shop=None)).problem == (405, "method_not_allowed", None)


async def test_an_event_names_the_schema_that_describes_it(shops: Shops) -> None:
    payment = await shops.opened()
    await shops.placed()
    (event,) = (await shops.get("/v1/events")).body["events"]
    check_event(event)
    described = (await shops.call("GET", event["dataschema"].removeprefix(PUBLIC), shop=None)).body
    assert described["$id"] == event["dataschema"]
    jsonschema.validate(payment, described)
    jsonschema.validate(event, (await shops.get("/schemas/event-1.json")).body)


async def test_the_running_api_keeps_to_the_document(shops: Shops) -> None:
    payment = await shops.opened()
    shops.api.event_waiters.stop()  # no request waits for news
    known = (await shops.get("/openapi.json")).body
    await asyncio.to_thread(exercise, known, shops.url, payment["payment_id"])
    assert (await shops.get("/v1/payments")).body["summary"]["count"] > 1


def exercise(known: dict[str, Any], url: str, payment_id: str) -> None:
    """Send requests that fit the document, and requests that do not, to every operation."""
    for found in schemathesis.openapi.from_dict(known).get_all_operations():
        operation = found.ok()
        takes = "parameters" in operation.definition.raw or "requestBody" in operation.definition.raw
        for mode in GenerationMode if takes else [GenerationMode.POSITIVE]:
            one_operation(operation.as_strategy(generation_mode=mode), mode, url, payment_id)


def one_operation(cases: Any, mode: GenerationMode, url: str, payment_id: str) -> None:
    nth = 0

    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        nonlocal nth
        nth += 1
        if mode is GenerationMode.POSITIVE:
            if "payment_id" in case.path_parameters and nth % 2:
                case.path_parameters["payment_id"] = payment_id
            if isinstance(case.body, dict) and "account" in case.body:
                case.body["account"] = "shop-one"
        headers = {"Authorization": f"Bearer {KEYS['shop']}"}
        response = case.call(base_url=url, headers=headers)
        also = [negative_data_rejection] if mode is GenerationMode.NEGATIVE and case.body else []
        case.validate_response(response, checks=[*CHECKS, *also], headers=headers)

    check()

"""What `/openapi.json` gives to generators and readers: tags, paragraphs, links, and every problem with its example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from schemas.shown import EVENT_SCHEMA, PAYMENT_SCHEMA
from tests.contract import todays
from tests.guide.source import error_codes
from worker.api.problem_samples import NAMES

API = todays()["openapi.json"]
SCHEMAS = API["components"]["schemas"]
OPERATIONS = {one["operationId"]: one for methods in API["paths"].values() for one in methods.values()}
NO_ANSWER_OF_AN_OPERATION = {"method_not_allowed"}
"""The codes of paths with a method that the document does not have."""
named = pytest.mark.parametrize("name", OPERATIONS)


@named
def test_every_operation_has_a_tag_and_a_paragraph(name: str) -> None:
    operation = OPERATIONS[name]
    assert set(operation["tags"]) <= {tag["name"] for tag in API["tags"]}
    assert len(operation["tags"]) == 1
    assert operation["description"].endswith(".")
    assert operation["description"] != operation["summary"]


@named
def test_every_answer_says_what_it_is_and_not_what_was_asked(name: str) -> None:
    operation = OPERATIONS[name]
    for status, answer in operation["responses"].items():
        assert answer["description"].endswith("."), status
        assert answer["description"] not in (operation["summary"], f"{operation['summary']}.")


@pytest.mark.parametrize("name", API["webhooks"])
def test_every_webhook_has_a_paragraph_and_an_event_of_its_type(name: str) -> None:
    operation = API["webhooks"][name]["post"]
    (content,) = operation["requestBody"]["content"].values()
    assert content["example"]["type"] == name
    assert operation["description"].endswith(".")
    if name in SCHEMAS["EventType"]["enum"]:
        meaning = f"{operation['description'][0].lower()}{operation['description'][1:]}"
        assert f"- `{name}`: {meaning}" in SCHEMAS["EventType"]["description"].splitlines()


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json", PAYMENT_SCHEMA, EVENT_SCHEMA])
def test_the_example_of_a_document_is_its_beginning(path: str) -> None:
    (content,) = API["paths"][path]["get"]["responses"]["200"]["content"].values()
    whole = todays()[path.rpartition("/")[2]]
    assert len(content["example"]) > 2
    assert list(whole.items())[: len(content["example"])] == list(content["example"].items())


@named
def test_every_parameter_says_what_it_is(name: str) -> None:
    assert [one["name"] for one in OPERATIONS[name].get("parameters", []) if not one.get("description")] == []


@pytest.mark.parametrize("body", ["NewPayment", "TrackedPayment", "Resolution", "Customer"])
def test_every_field_of_a_body_says_what_it_is(body: str) -> None:
    assert [name for name, field in SCHEMAS[body]["properties"].items() if not field.get("description")] == []


def _links() -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    for name, operation in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            for link, told in answer.get("links", {}).items():
                (content,) = answer["content"].values()
                yield f"{name} {status} {link}", name, told, content["example"]


@pytest.mark.parametrize(("name", "link", "example"), [pytest.param(*rest, id=place) for place, *rest in _links()])
def test_a_link_leads_from_a_part_of_the_answer_to_a_parameter(name: str, link: Any, example: Any) -> None:
    taken = {one["name"]: one for one in OPERATIONS[link["operationId"]]["parameters"]}
    for parameter, place in link["parameters"].items():
        kind, _, path = place.partition("#/")
        if kind != "$response.body":
            assert place.removeprefix("$request.path.") in {one["name"] for one in OPERATIONS[name]["parameters"]}
            continue
        found = example
        for part in path.split("/"):
            found = found[int(part) if isinstance(found, list) else part]
        if found is not None:  # the last page has no next one
            jsonschema.validate(found, taken[parameter]["schema"])
    required = {one["name"] for one in taken.values() if one.get("required")}
    assert required <= set(link["parameters"])


@named
def test_no_answer_links_to_the_same_answer(name: str) -> None:
    for answer in OPERATIONS[name]["responses"].values():
        for link in answer.get("links", {}).values():
            assert link["operationId"] != name or set(link["parameters"]) & {"cursor", "after"}


def test_an_opened_payment_leads_to_all_that_can_be_done_with_it() -> None:
    links = OPERATIONS["openPayment"]["responses"]["201"]["links"]
    reached = {link["operationId"] for link in links.values()}
    assert reached == {"getPayment", "getTimeline", "verifyPayment", "resolvePayment"}


def _problems() -> Iterator[tuple[str, str, Any]]:
    for name, operation in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                yield name, status, answer["content"]["application/problem+json"]


@pytest.mark.parametrize(
    ("status", "content"), [pytest.param(*rest, id=f"{name} {rest[0]}") for name, *rest in _problems()]
)
def test_every_problem_has_a_named_body_with_real_examples(status: str, content: Any) -> None:
    assert content["schema"] == {"$ref": f"#/components/schemas/{NAMES[int(status)]}"}
    document = {**content["schema"], "components": API["components"]}
    for code, example in content["examples"].items():
        jsonschema.Draft202012Validator(document).validate(example["value"])
        assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))


def test_every_code_of_the_service_is_an_example_and_none_that_it_does_not_have() -> None:
    shown = {code for _, _, content in _problems() for code in content["examples"]}
    assert shown == {one.code for one in error_codes()} - NO_ANSWER_OF_AN_OPERATION


def test_what_is_wrong_with_a_request_is_named_field_by_field() -> None:
    (_, _, content), *_ = [one for one in _problems() if one[:2] == ("openPayment", "422")]
    example = content["examples"]["invalid_request"]["value"]
    assert [one["field"] for one in example["errors"]] == ["colour", "amount"]

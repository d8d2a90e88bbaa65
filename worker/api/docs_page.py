"""`/docs`: the API in words, on one page made from the document that `/openapi.json` is. It needs no script.

Each operation opens to a request to paste into a terminal, and to what it answers. An id is that of the fold itself, so
that a link leads there in every browser; what is within a fold is no place to link to.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import htpy as h
from markupsafe import Markup

from worker.api.docs_shapes import field_list, text
from worker.api.docs_style import STYLE

_SAMPLE_KEY = "order-7831-a1"
_QUERY_EXAMPLES = {"listEvents": {"limit": "10"}, "listPayments": {"status": "completed", "limit": "10"}}
"""The queries of the examples of lists, which show how one is written."""


def docs_page(document: Mapping[str, Any]) -> str:
    """The whole HTML page of an OpenAPI document of ours."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = [tag for tag in document["tags"] if any(tag["name"] in one["tags"] for _, _, one in operations)]
    return str(
        h.html(lang="en")[
            _head(document),
            h.body[
                _introduction(document),
                _contents(tags),
                h.main[
                    [_tag(document, tag, operations) for tag in tags],
                    _webhooks(document),
                    _shapes(document),
                ],
            ],
        ]
    )


def curl(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    """The request as a command for a shell, with the operation's own example."""
    given = _QUERY_EXAMPLES.get(operation["operationId"], {})
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", _example_of(document, parameter["name"]))
    url = _at(document, path) + (f"?{urlencode(given)}" if given else "")
    parts = ["curl" if method == "get" else f"curl -X {method.upper()}"]
    if operation.get("security") != []:
        parts.append('-H "Authorization: Bearer $PAYPROOF_API_KEY"')
    if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", [])):
        key = _SAMPLE_KEY if operation["operationId"] == "openPayment" else f"{_SAMPLE_KEY}-{operation['operationId']}"
        parts.append(f"-H {shlex.quote(f'Idempotency-Key: {key}')}")
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(_json(content['example']))}")
    return " \\\n  ".join([*parts, shlex.quote(url)])


def _head(document: Mapping[str, Any]) -> h.Element:
    return h.head[
        h.meta(charset="utf-8"),
        h.meta(name="viewport", content="width=device-width,initial-scale=1"),
        h.meta(name="color-scheme", content="light dark"),
        h.title[f"{document['info']['title']} API"],
        h.link(rel="icon", href="data:,"),
        h.style[Markup(STYLE)],  # noqa: S704 - it is ours, and named by its hash
    ]


def _introduction(document: Mapping[str, Any]) -> h.Element:
    info = document["info"]
    return h.header[
        h.h1[f"{info['title']} API"],
        h.p[text(info["description"])],
        h.p(".quiet")[
            f"Release {info['version']}. The same for programs: ",
            h.a(href=_at(document, "/openapi.json"))["OpenAPI"],
            ", and for what goes over RabbitMQ ",
            h.a(href=_at(document, "/asyncapi.json"))["AsyncAPI"],
            ".",
        ],
        h.p[
            text(
                "Each line below opens to a request that is complete but for your own account and ids. Set your API "
                "key in the shell first: "
                "`export PAYPROOF_API_KEY=…`"
            )
        ],
    ]


def _contents(tags: Sequence[Mapping[str, Any]]) -> h.Element:
    places = {f"tag-{tag['name']}": tag["name"] for tag in tags}
    places |= {"events-you-get": "What your endpoint gets", "shapes": "Shapes"}
    return h.nav(aria_label="Contents")[[(h.a(href=f"#{place}")[name], " ") for place, name in places.items()]]


def _tag(document: Mapping[str, Any], tag: Mapping[str, Any], operations: list[tuple[str, str, Any]]) -> h.Element:
    return h.section(id=f"tag-{tag['name']}")[
        h.h2[tag["name"]],
        h.p[text(tag["description"])],
        [_operation(document, *one) for one in operations if tag["name"] in one[2]["tags"]],
    ]


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> h.Element:
    answers = list(_answers(operation))
    return h.details(id=operation["operationId"])[
        h.summary[h.h3[h.code[f"{method.upper()} {path}"]], h.span(".quiet")[text(operation["summary"])]],
        h.p[text(operation["description"])],
        _parameters(document, operation),
        _body(document, operation),
        h.h4["Request"],
        h.pre[curl(document, method, path, operation)],
        [
            h.details[h.summary[f"Answer {status}"], _shape_of(content), h.pre[_json(content["example"])]]
            for status, content in answers
        ],
        _problems(operation),
    ]


def _answers(operation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            (content,) = answer["content"].values()
            yield status, content


def _shape_of(content: Mapping[str, Any]) -> h.Node:
    reference = content["schema"].get("$ref")
    if reference is None:
        return None
    name = reference.rpartition("/")[2]
    return h.p["Its fields: ", h.a(href=f"#shape-{name}")[name], "."]


def _parameters(document: Mapping[str, Any], operation: Mapping[str, Any]) -> h.Node:
    found = operation.get("parameters", [])
    if not found:
        return None
    fields = {one["name"]: {**one["schema"], "description": one.get("description", "")} for one in found}
    needed = [one["name"] for one in found if one.get("required")]
    return h.fragment[h.h4["Parameters"], field_list(document, fields, needed)]


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> h.Node:
    if "requestBody" not in operation:
        return None
    (content,) = operation["requestBody"]["content"].values()
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return h.fragment[h.h4["Body"], field_list(document, schema["properties"], schema.get("required", []))]


def _problems(operation: Mapping[str, Any]) -> h.Node:
    told = [
        (
            h.dt[h.b[status], " ", text(answer["description"])],
            h.dd[
                [
                    h.p[h.code[code], " ", h.span(".quiet")[text(example["value"]["detail"])]]
                    for code, example in answer["content"]["application/problem+json"]["examples"].items()
                ]
            ],
        )
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    ]
    if not told:
        return None
    return h.details[h.summary["Errors, by their status and code"], h.dl[told]]


def _webhooks(document: Mapping[str, Any]) -> h.Element:
    (first, *_) = document["webhooks"].values()
    headers = first["post"]["parameters"]
    fields = {one["name"]: {**one["schema"], "description": one["description"]} for one in headers}
    return h.section(id="events-you-get")[
        h.h2["What your endpoint gets"],
        h.p[
            text(
                "Each event is a POST to the endpoint that the operator entered, signed by Standard Webhooks. Check "
                "the signature over the bytes as they came, store the event, and answer 2xx. Every event is a full "
                "snapshot: act on `data.status` and `data.hold`, and drop what is not newer than the "
                "`version` that you acted on."
            )
        ],
        field_list(document, fields, list(fields)),
        [_webhook(name, one["post"]) for name, one in document["webhooks"].items()],
    ]


def _webhook(name: str, operation: Mapping[str, Any]) -> h.Element:
    (content,) = operation["requestBody"]["content"].values()
    return h.details[h.summary[h.code[name]], h.p[text(operation["description"])], h.pre[_json(content["example"])]]


def _shapes(document: Mapping[str, Any]) -> h.Element:
    schemas = document["components"]["schemas"]
    shown = {name: schema for name, schema in schemas.items() if "properties" in schema or "enum" in schema}
    shown = {name: schema for name, schema in shown.items() if not re.fullmatch(r"\w+Problem", name)}
    return h.section(id="shapes")[
        h.h2["Shapes"],
        [
            h.details(id=f"shape-{name}")[
                h.summary[h.h3[name]],
                [h.p[text(part)] for part in schema.get("description", "").split("\n\n") if part],
                field_list(document, schema["properties"], schema.get("required", []))
                if "properties" in schema
                else h.p[[(h.code[word], " ") for word in schema["enum"]]],
            ]
            for name, schema in shown.items()
        ],
    ]


def _example_of(document: Mapping[str, Any], variable: str) -> str:
    """The value of a path's variable in the examples: of the same payment, endpoint and event everywhere."""
    answers = {
        "payment_id": ("/v1/payments", "post", "201", ("payment_id",)),
        "webhook_id": ("/v1/webhooks", "get", "200", ("webhooks", 0, "id")),
        "event_id": ("/v1/events", "get", "200", ("events", 0, "id")),
    }
    path, method, status, place = answers[variable]
    (content,) = document["paths"][path][method]["responses"][status]["content"].values()
    found = content["example"]
    for part in place:
        found = found[part]
    return str(found)


def _at(document: Mapping[str, Any], path: str) -> str:
    return f"{document['servers'][0]['url'].rstrip('/')}{path}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)

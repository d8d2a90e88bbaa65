"""`/_control/openapi.json`, made from the table of routes and the Structs that they read and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import fields

from worker.playground.sandbox.control.routing import Refused, Route

_REF = "#/components/schemas/{name}"
_WHY = {
    400: "It cannot be read; `field` names the place.",
    404: "There is no such checkout.",
    409: "It cannot happen to this gateway or checkout.",
}
# These two describe the others and are answered apart from the table.
PAGE, DOCUMENT = "/_control", "/_control/openapi.json"


def document(routes: Sequence[Route], base: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the control API at this address."""
    structs = {kind for route in routes for kind in (route.body, route.answers) if kind is not None} | {Refused}
    ordered = sorted(structs, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _described(route)
    paths[PAGE] = {"get": _apart("readPage", "All of this on one page, with examples", "text/html", "string")}
    paths[DOCUMENT] = {"get": _apart("getOpenapi", "This document", "application/json", "object")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payproof sandbox control",
            "version": "1",
            "description": "Plays buyers, gateways and time for a shop's own tests. No real money moves here.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base}],
        "security": [],
        "paths": paths,
        "components": {"schemas": components},
    }


def _described(route: Route) -> dict[str, Any]:
    refused = _content(Refused)
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {"200": {"description": route.summary, "content": _content(route.answers)}}
        | {str(status): {"description": _WHY[status], "content": refused} for status in route.refusals},
    }
    if route.query is not None:
        schema = msgspec.json.schema(route.query, ref_template=_REF)
        properties = schema["$defs"][route.query.__name__]["properties"] if "$defs" in schema else schema["properties"]
        made["parameters"] = [
            {"name": one.encode_name, "in": "query", "schema": properties[one.encode_name]}
            for one in fields(route.query)
        ]
    if route.body is not None:
        required = any(one.required for one in fields(route.body))
        made["requestBody"] = {"required": required, "content": _content(route.body, example=dict(route.example))}
    return made


def _content(kind: type[msgspec.Struct], **more: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}} | more}


def _apart(name: str, summary: str, content_type: str, kind: str) -> dict[str, Any]:
    content = {content_type: {"schema": {"type": kind}}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }

"""The service as strangers and shops reach it, in a process of its own: Schemathesis over its API, raw requests beside.

An answer of 500 or more, no answer, and an answer that the API's document does not know all count as crashes. A refusal
does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from msgspec import Struct
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.knocking import ANSWER_SECONDS, Knocking
from tests.fuzz.mutating import Dice
from tests.fuzz.running import Row, resident, rounds
from tests.harness import System
from tests.processes import running

SETTINGS = """\
return_wait = "1ms"

[checks]
claimed = ["1h"]
pending = ["1h"]
grace = "1h"
give_up = "2h"
"""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Served(Struct):
    """The state of the service. `memory` is in MB: after the first round, and at the end."""

    rows: list[Row]
    memory: tuple[float, float]


@contextmanager
def serving() -> Iterator[tuple[System, str]]:
    """The service and the id of a payment in it."""
    with running(settings=SETTINGS) as system:
        body = {"account": "shop-ipay", "reference": "fuzzed", "amount": "10.00", "currency": "BDT"}
        more = {"description": "Fuzzed", "return_url": "https://shop.example/thanks"}
        answer = requests.post(f"{system.url}/v1/payments", json=body | more, headers=_key(system), timeout=60)
        yield system, answer.json()["payment_id"]


def fuzz_service(described: int, noise: int, seed: int, read: Callable[[int], None] = lambda _: None) -> Served:
    """So many cases by Schemathesis over all operations, and so many raw requests at the public endpoints."""
    with serving() as (system, payment_id):
        api, doors = Row("whole API, by Schemathesis"), Row("return, webhooks, ipn")
        first = 0.0
        for nth, drawn in enumerate(rounds(noise, seed)):
            with Knocking(system.url) as knocking:
                for case in drawn:
                    _timed(doors, case.hex(), lambda case=case: knocking.knock(Dice(case), payment_id))
            read(len(drawn))
            first = first if nth else resident(system.service.pid)
        for row_cases in _by_schemathesis(system, payment_id, api, described, seed):
            read(row_cases)
        assert system.service.running, "it is still there"
        return Served([api, doors], (first, resident(system.service.pid)))


def _by_schemathesis(system: System, payment_id: str, row: Row, cases: int, seed: int) -> Iterator[int]:
    document = requests.get(f"{system.url}/openapi.json", timeout=60).json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    takes = [one for one in operations if "parameters" in one.definition.raw or "requestBody" in one.definition.raw]
    turns = [(one, mode) for one in takes for mode in GenerationMode]
    with requests.Session() as session:
        for nth, (operation, mode) in enumerate(turns):
            before = row.cases
            _exercise(
                operation.as_strategy(generation_mode=mode),
                system,
                payment_id,
                row,
                session,
                nth + seed,
                cases // len(turns),
            )
            yield row.cases - before


def _exercise(
    strategy: Any, system: System, payment_id: str, row: Row, session: requests.Session, seed: int, cases: int
) -> None:
    nth = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=max(1, cases),
        phases=[Phase.generate],
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(case: Case) -> None:
        nonlocal nth
        nth += 1
        if nth % 2 and "payment_id" in case.path_parameters:
            case.path_parameters["payment_id"] = payment_id
        if nth % 2 and isinstance(case.body, dict) and "account" in case.body:
            case.body["account"] = "shop-ipay"

        def send() -> None:
            response = case.call(base_url=system.url, headers=_key(system), session=session, timeout=ANSWER_SECONDS)
            case.validate_response(response, checks=CHECKS, headers=_key(system))

        _timed(row, f"{case.method} {case.formatted_path} {case.body!r}"[:300], send)

    one()


def _timed(row: Row, case: str, act: Callable[[], None]) -> None:
    began = perf_counter()
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        row.crashed(error, f"{error} <- {case}"[:600])
    row.slowest = max(row.slowest, perf_counter() - began)
    row.cases += 1


def _key(system: System) -> dict[str, str]:
    return {"Authorization": f"Bearer {system.key}"}

"""Logs: events as intended, and no data of a buyer, a key or a request, from any logger."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession, web

from consumers.ports.openings import Customer
from schemas.secret import Secret
from schemas.words import Status
from tests.processes import loud
from worker.telemetry import logs

LEAK = "01712345678"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Log JSON to memory; calling the fixture reads what was logged, and fails where anything leaked."""
    hook, root = sys.excepthook, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("json", stream=stream)

    def read() -> list[dict[str, Any]]:
        assert LEAK not in stream.getvalue()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield read
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    sys.excepthook, root.handlers[:] = hook, handlers
    root.setLevel(level)


Lines = Callable[[], list[dict[str, Any]]]


def test_an_event_is_one_line_with_its_level_and_a_time_in_utc(lines: Lines) -> None:
    structlog.get_logger().info("payment.advanced", payment_id="pay_1", status=Status.COMPLETED, amount=Decimal("5.00"))
    (line,) = lines()
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert at.utcoffset() == datetime.now(UTC).utcoffset()
    assert line == {
        "event": "payment.advanced",
        "level": "info",
        "payment_id": "pay_1",
        "status": "completed",
        "amount": "5.00",
    }


@pytest.mark.usefixtures("lines")
def test_what_wakes_a_person_is_found_in_a_log_as_it_is_written() -> None:
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        structlog.get_logger().log(level, "payment.odd", said="error")
    written = stream.getvalue().splitlines()
    crash = "Traceback (most recent call last):"
    assert loud("\n".join([*written, crash])) == [*written[2:], crash]
    spaced = [json.dumps(json.loads(line)) for line in written]  # as 0.1.0 writes
    assert loud("\n".join(spaced)) == spaced[2:]


@pytest.mark.parametrize("odd", ["half an emoji \ud83d", 2**70, "আট", 1.5])
def test_whatever_a_value_is_its_event_is_logged(lines: Lines, odd: object) -> None:
    structlog.get_logger().warning("payment.odd", said=odd)
    (line,) = lines()
    assert line["said"] == odd


class Percent(float):
    """A number of a class of its own, as a library may bring."""


class Port(int):
    """A number of a class of its own."""


LONG = 10**5000


@pytest.mark.parametrize(
    ("odd", "shown"), [(Percent(1.5), 1.5), (Port(7), 7), ([Port(7)], [7]), pytest.param(LONG, "<int>", id="long")]
)
def test_numbers_that_no_line_could_hold_are_logged_all_the_same(lines: Lines, odd: object, shown: object) -> None:
    structlog.get_logger().info("odd.seen", odd=odd)
    assert lines()[0]["odd"] == shown


def test_what_is_bound_to_the_context_stands_in_every_event(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(claim_id="c1"):
        structlog.get_logger().warning("claim.parked")
    structlog.get_logger().warning("claim.parked")
    assert [line.get("claim_id") for line in lines()] == ["c1", None]


def test_details_below_info_are_left_out(lines: Lines) -> None:
    structlog.get_logger().debug("claim.seen")
    assert lines() == []


@pytest.mark.parametrize(
    "key",
    [
        "raw_body",
        "webhook-secret",
        "Authorization",
        "password",
        "body",
        "headers",
        "query",
        "phone",
        "email",
        "customer",
        "secret",
        "authorization",
        "customer_phone",
        "api_key",
    ],
)
def test_private_keys_are_dropped_by_name(lines: Lines, key: str) -> None:
    structlog.get_logger().info("callback.received", account="shop", **{key: LEAK})
    (line,) = lines()
    assert line["dropped"] == [key]
    assert key not in line
    assert line["account"] == "shop"


def test_private_keys_are_dropped_inside_of_tables(lines: Lines) -> None:
    structlog.get_logger().info("callback.received", what={"phone": LEAK, "more": [{"email": LEAK, "id": 1}]})
    assert lines()[0]["what"] == {"more": [{"id": 1}]}


def test_objects_bytes_and_secrets_show_only_their_type(lines: Lines) -> None:
    class Buyer:
        def __repr__(self) -> str:
            return LEAK

    structlog.get_logger().info("x.y", who=Buyer(), raw=LEAK.encode(), key=Secret(LEAK), error=ValueError(LEAK))
    line = lines()[0]
    assert [line[key] for key in ("who", "raw", "key", "error")] == ["<Buyer>", "<bytes>", "<Secret>", "<ValueError>"]


def test_a_buyer_is_printed_without_anything_of_theirs() -> None:
    assert repr(Customer(name=LEAK, email=LEAK, phone=LEAK, address=LEAK)) == "Customer(***)"


def test_the_user_and_password_of_a_url_are_taken_out(lines: Lines) -> None:
    structlog.get_logger().info("broker.lost", why=f"cannot reach amqp://me:{LEAK}@mq:5672/ now")
    assert lines()[0]["why"] == "cannot reach amqp://***@mq:5672/ now"


def test_a_password_at_the_end_of_what_is_kept_of_a_text_is_taken_out_too(lines: Lines) -> None:
    before = "x" * (logs.LONGEST_TEXT - len("amqp://me:") - len(LEAK))
    structlog.get_logger().info("broker.lost", why=f"{before}amqp://me:{LEAK}@mq:5672/ now")
    (line,) = lines()
    assert LEAK not in line["why"]
    assert line["why"].startswith(f"{before}amqp://***")
    assert len(line["why"]) == logs.LONGEST_TEXT


def test_an_exception_shows_its_types_and_places_without_messages_or_values(lines: Lines) -> None:
    def inner(phone: str) -> None:
        raise KeyError(phone)

    def outer(phone: str) -> None:
        try:
            inner(phone)
        except KeyError as error:
            raise ValueError(f"no {phone}") from error

    try:
        outer(LEAK)
    except ValueError:
        structlog.get_logger().exception("claim.broken")
    told = lines()[0]["exception"]
    assert told.startswith("ValueError\n")
    assert "because of\nKeyError\n" in told
    assert "tests/unit/test_logs.py" in told
    assert "in inner" in told


async def test_every_member_of_an_exception_group_is_told(lines: Lines) -> None:
    async def fail(error: Exception) -> None:
        raise error

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(ValueError(LEAK)))
            group.create_task(fail(KeyError(LEAK)))
    except* ValueError as caught:
        structlog.get_logger().error("stage.broken", exc_info=caught)
    except* KeyError as caught:
        structlog.get_logger().error("stage.broken", exc_info=caught)
    told = [line["exception"] for line in lines()]
    assert "| ValueError" in told[0]
    assert "| KeyError" in told[1]


def test_libraries_are_heard_without_their_arguments(lines: Lines) -> None:
    log = logging.getLogger("aio_pika.connection")
    log.info("chatter")
    log.warning("Connection to %s lost\n%s", f"amqp://me:{LEAK}@mq", LEAK)
    (line,) = lines()
    assert line["event"] == "third_party.log"
    assert line["library"] == "aio_pika.connection"
    assert line["said"] == "Connection to %s lost"
    assert line["level"] == "warning"


async def test_a_failing_handler_of_aiohttp_logs_nothing_of_the_request(lines: Lines) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise ValueError(await request.text())

    app = web.Application()
    app.router.add_post("/ipn/{who}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as session:
            url = f"http://{host}:{port}/ipn/{LEAK}?phone={LEAK}"
            async with session.post(url, data=LEAK, headers={"X-Phone": LEAK}) as reply:
                assert reply.status == 500
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"BROKEN {LEAK}\r\nX: {LEAK}\r\n\r\n".encode())
        await writer.drain()
        assert b"400" in await reader.readline()
        writer.close()
        await writer.wait_closed()
    finally:
        await runner.cleanup()
    told = lines()
    assert told[0]["library"] == "aiohttp.server"
    assert "in handler" in told[0]["exception"]


async def test_what_is_no_http_is_a_strangers_fault_and_told_in_one_line(lines: Lines) -> None:
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(f"GET /{LEAK * 1000} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    finally:
        await runner.cleanup()
    (line,) = lines()
    assert (line["event"], line["level"], line["error"]) == ("request.unreadable", "warning", "LineTooLong")
    assert "exception" not in line


async def test_a_task_that_fails_unheard_is_told_without_its_words(lines: Lines) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": ValueError(LEAK), "future": LEAK}
    )
    (line,) = lines()
    assert line["said"] == "Task exception was never retrieved"
    assert line["exception"] == "ValueError"


def fail() -> None:
    raise ValueError(LEAK)


def test_a_crash_of_the_process_is_an_event(lines: Lines) -> None:
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    (line,) = lines()
    assert line["event"] == "process.crashed"
    assert line["exception"].startswith("ValueError\n")


def test_the_console_shows_the_same_for_eyes(lines: Lines) -> None:
    stream = io.StringIO()
    logs.configure("console", stream=stream)
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("claim.broken", claim_id="c1", phone=LEAK)
    assert "claim.broken" in stream.getvalue()
    assert "claim_id=c1" in stream.getvalue()
    assert "ValueError\n" in stream.getvalue()
    assert LEAK not in stream.getvalue()
    assert lines() == []


def test_at_a_terminal_a_line_has_a_short_time_its_fields_in_order_and_no_brackets() -> None:
    stream = io.StringIO()
    logs.configure("console", stream=stream)
    structlog.get_logger().info("process.ready", roles=["consume", "deliver"], listen="127.0.0.1:8080", console=None)
    said = stream.getvalue()
    assert re.match(r"[0-9]{2}:[0-9]{2}:[0-9]{2} \[info +\] process\.ready +", said)
    assert said.rstrip().endswith("listen=127.0.0.1:8080")
    assert re.search(r"roles='?consume, deliver'? listen=", said)
    assert "console" not in said

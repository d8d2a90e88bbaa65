"""Three gateways in one process, as cheap as can be: `python -m tests.bench.gateway PORT [--delays JSON]`.

Every payment is paid. A gateway must not become the bottleneck: requests are answered from their first line by a bare
protocol that keeps connections open, and a delay is a timer, not a thread.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import msgspec
import uvloop

from tests.bench.delays import AT_ONCE, Delays, fixed
from tests.bench.numbered import GATEWAYS, amount, number_in, reference, session_id, transaction_id

PAID_AT = "2026-11-20T10:00:00Z"


def answer(path: str) -> tuple[str, int, bytes] | None:
    """The gateway of this path, the payment's number, and the answer; None for an unknown path."""
    gateway, _, rest = path.lstrip("/").partition("/")
    n = number_in(rest.removesuffix("/status"))
    match gateway:
        case "shadhinpay":
            data: dict[str, object] = {
                "paymentId": session_id(n),
                "merchantTxnId": reference(n),
                "transactionId": transaction_id(n),
                "amount": amount(n),
                "currency": "BDT",
                "status": "COMPLETED",
                "paymentMethod": "BKASH",
                "completedAt": PAID_AT,
            }
            said: dict[str, object] = {"status": "success", "data": data}
        case "moneybag":
            data = {
                "transaction_id": transaction_id(n),
                "order_id": reference(n),
                "amount": amount(n),
                "currency": "BDT",
                "status": "SUCCESS",
                "verified": True,
                "payment_method": "bkash",
            }
            said = {"success": True, "data": data}
        case "ipay":
            said = {
                "statusCode": 200,
                "orderId": session_id(n),
                "referenceId": reference(n),
                "transactionId": transaction_id(n),
                "orderAmount": amount(n),
            }
        case _:
            return None
    return gateway, n, msgspec.json.encode(said)


class Gateway(asyncio.Protocol):
    """One connection; `delays` by gateway, shared and changed by `PUT /delay/GATEWAY/SECONDS`."""

    def __init__(self, delays: dict[str, Delays]) -> None:
        self._delays = delays
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one but for its base class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line = self._buffer[: self._buffer.find(b"\r\n")].decode("latin-1")
            self._buffer = self._buffer[end + 4 :]  # no question of ours has a body
            method, path, _ = line.split(" ", 2)
            self._reply(method, path.partition("?")[0])

    def _reply(self, method: str, path: str) -> None:
        if method == "PUT":
            _, _, gateway, seconds = path.split("/")
            self._delays[gateway] = fixed(float(seconds))
            self._send(b"{}")
            return
        answered = answer(path)
        if answered is None:
            self._send(b"{}", b"404 Not Found")
            return
        gateway, n, body = answered
        if delay := self._delays[gateway].of(n):
            asyncio.get_running_loop().call_later(delay, self._send, body)
        else:
            self._send(body)

    def _send(self, body: bytes, status: bytes = b"200 OK") -> None:
        if self._transport is not None and not self._transport.is_closing():
            head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            self._transport.write(head + body)


async def serve(port: int, delays: dict[str, Delays]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Gateway(delays), "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--delays", default=msgspec.json.encode(AT_ONCE).decode(), help="Delays, as JSON")
    words = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        delays = msgspec.json.decode(words.delays, type=Delays)
        runner.run(serve(words.port, dict.fromkeys(GATEWAYS, delays)))


if __name__ == "__main__":
    main()

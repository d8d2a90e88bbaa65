"""The bare limit of taking callbacks: read the body, publish it with a confirm to a quorum queue, answer 200.

`python -m tests.bench.peers.bare_ingress PORT AMQP_URL BYTES [--claims]`. Its clients are payproof's: aiohttp and
aio-pika, whose publish sends one message at a time, where payproof writes concurrent messages together. With `--claims`
it publishes what the bare consumer reads: the gateway and the payment to ask about. Its task is no easier: messages are
persistent, confirmed before the answer, and as large as payproof's claims. Only the logic is missing.
"""

from __future__ import annotations

import asyncio
import re
import sys

import aio_pika
import msgspec
import uvloop
from aiohttp import web

from tests.bench.numbered import DIGITS, HASHED

QUEUE = "bare.callbacks"
CLAIMS = "payproof.claims"
_ID = re.compile(rb"[0-9a-z]{2}[0-9a-f]{%d}\d{%d}" % (HASHED - 2, DIGITS))  # a payment's begins with its week


async def serve(port: int, amqp_url: str, size: int, *, claims: bool) -> None:
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    exchange = await channel.get_exchange(CLAIMS, ensure=False) if claims else channel.default_exchange

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        key, said = _claim(request.path, body) if claims else (QUEUE, body)
        message = aio_pika.Message(said.ljust(size), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, key)
        return web.Response(body=b'{"received":true}', content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with connection:
        await asyncio.Event().wait()


def _claim(path: str, body: bytes) -> tuple[str, bytes]:
    """The gateway and a claim, made from the first of the benchmark's ids that the request names.

    A gateway here knows a payment by any of its ids, and so does the subscriber.
    """
    named = _ID.search(path.encode()) or _ID.search(body)
    if named is None:
        return "none", body  # a liveness request, which no queue takes
    account = path.split("/")[2]
    provider = account.removeprefix("shop-")
    claim = {"id": named[0].decode(), "account": account, "provider": provider, "payment_id": named[0].decode()}
    return provider, msgspec.json.encode(claim)


def main() -> None:
    port, amqp_url, size, *claims = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(port), amqp_url, int(size), claims=claims == ["--claims"]))


if __name__ == "__main__":
    main()

"""The bare limit of taking callbacks: read the body, publish it with a confirm to a quorum queue, answer 200.

`python -m tests.bench.peers.bare_ingress PORT AMQP_URL BYTES`. The one thing to get wrong: an easier task. What it
publishes is persistent, confirmed before the answer, and as large as the claims of payproof; it only thinks nothing.
"""

from __future__ import annotations

import asyncio
import sys

import aio_pika
import uvloop
from aiohttp import web

QUEUE = "bare.callbacks"


async def serve(port: int, amqp_url: str, size: int) -> None:
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    exchange = channel.default_exchange

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        message = aio_pika.Message(body.ljust(size), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, QUEUE)
        return web.Response(body=b'{"received":true}', content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with connection:
        await asyncio.Event().wait()


def main() -> None:
    port, amqp_url, size = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(port), amqp_url, int(size)))


if __name__ == "__main__":
    main()

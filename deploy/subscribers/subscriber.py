"""Gets Payproof's events over RabbitMQ and ships paid orders, once. Needs `pip install aio-pika`.

Events come at least once, sometimes twice and out of order. A message is acknowledged after its event is stored. An
unreadable one goes to `<queue>.dead` for a person.
An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
and not at high risk. One that has left and is stopped is for a person.
"""

import asyncio
import json
import os
import sqlite3
import time
from contextlib import closing
from operator import itemgetter

import aio_pika

URL, MERCHANT = os.environ["AMQP_URL"], os.environ["MERCHANT"]  # the events of others are in the exchange too
QUEUE = os.environ.get("QUEUE", "shop.payments")  # a queue for each of your services
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1000}  # after an hour of failures it goes to a person too
FIELDS = itemgetter("payment_id", "version", "status", "hold", "order", "reference")
DATABASE = os.environ.get("DATABASE", "shop.sqlite")
TABLES = """create table if not exists payments (id text primary key, version, order_id text, stop);
            create table if not exists shipments (order_id text primary key, stop);"""
NEWER = """replace into payments select :payment_id, :version, :name, :stop
    where not exists (select 1 from payments where id = :payment_id and version >= :version)"""
SHIP = """insert into shipments select order_id, stop from payments where order_id = ? order by stop is not null, stop
    limit 1 on conflict (order_id) do update set stop = excluded.stop"""


def take(payment):
    """Store a newer snapshot, and derive from all payments of its order whether that may leave."""
    stop = payment["hold"] or ("risk" if payment.get("risk") == "high" else payment["status"])
    name = payment["order"] or payment["reference"]
    newer = payment | {"name": name, "stop": None if stop == "completed" else stop}
    with closing(sqlite3.connect(DATABASE)) as database, database:  # one transaction
        if database.execute(NEWER, newer).rowcount:
            database.execute(SHIP, [name])


async def consume():
    async with await aio_pika.connect(URL, heartbeat=15, timeout=10) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=20)
        await channel.declare_queue(f"{QUEUE}.dead", durable=True, arguments=QUORUM)
        to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.dead"}
        queue = await channel.declare_queue(QUEUE, durable=True, arguments=QUORUM | to_dead)
        await queue.bind("payproof.events", f"payment.*.{MERCHANT}.*")  # a hold or a refund stops what may have left
        async with queue.iterator(timeout=300) as messages:  # after so long a silence, better a new consumer
            async for message in messages:
                try:
                    payment = json.loads(message.body)["data"]
                    FIELDS(payment)
                except (ValueError, LookupError, TypeError, RecursionError):
                    await message.reject(requeue=False)
                else:
                    take(payment)
                    await message.ack()


sqlite3.connect(DATABASE).executescript(TABLES).connection.close()
while True:  # when the broker goes away, or the work fails; what was not acknowledged comes again
    try:
        asyncio.run(consume())
    except Exception as error:
        print(f"{type(error).__name__}: {error}; beginning again", flush=True)
    time.sleep(5)

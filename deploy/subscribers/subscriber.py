"""Ships paid orders, once: gets `payment.completed` from Payproof over RabbitMQ. Needs `pip install aio-pika`.

Events come at least once, sometimes twice and out of order. An event is stored in one transaction with the work that it
leads to, and its message is acknowledged after that commit. An unreadable message goes to `<queue>.dead` for a person.
"""

import asyncio
import json
import os
import sqlite3
import time
from operator import itemgetter

import aio_pika

URL, QUEUE = os.environ["AMQP_URL"], os.environ.get("QUEUE", "shop.payments")  # a queue for each of your services
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1000}  # after an hour of failures it goes to a person too
FIELDS = itemgetter("payment_id", "version", "status", "hold", "reference", "amount")
TABLES = """create table if not exists events (id text primary key);
            create table if not exists payments (id text primary key, version integer not null);
            create table if not exists shipments (payment_id text primary key, reference text, amount text);"""
NEWER = "replace into payments select ?1, ?2 where not exists (select 1 from payments where id = ?1 and version >= ?2)"


def act(database, event_id, payment_id, version, status, hold, reference, amount):
    with database:  # one transaction; replace the last line by your own work on the same database
        new = database.execute("insert into events values (?) on conflict do nothing", (event_id,)).rowcount
        if new and database.execute(NEWER, (payment_id, version)).rowcount and status == "completed" and hold is None:
            database.execute("insert or ignore into shipments values (?, ?, ?)", (payment_id, reference, amount))


async def consume(database):
    async with await aio_pika.connect(URL, heartbeat=15, timeout=10) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=20)
        await channel.declare_queue(f"{QUEUE}.dead", durable=True, arguments=QUORUM)
        to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.dead"}
        queue = await channel.declare_queue(QUEUE, durable=True, arguments=QUORUM | to_dead)
        await queue.bind("payproof.events", "payment.completed.#")
        async with queue.iterator(timeout=300) as messages:  # after so long a silence, better a new consumer
            async for message in messages:
                try:
                    event = json.loads(message.body)
                    told = event["id"], *FIELDS(event["data"])
                except (ValueError, LookupError, TypeError, RecursionError):
                    await message.reject(requeue=False)
                else:
                    act(database, *told)
                    await message.ack()


database = sqlite3.connect(os.environ.get("DATABASE", "shop.sqlite"))
database.executescript(TABLES)
while True:  # when the broker goes away, or the work fails; what was not acknowledged comes again
    try:
        asyncio.run(consume(database))
    except Exception as error:
        print(f"{type(error).__name__}: {error}; beginning again", flush=True)
    time.sleep(5)

"""An event as a subscriber of RabbitMQ gets it, read with the CloudEvents SDK and the published documents."""

from __future__ import annotations

import json

import aio_pika
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event

from schemas.words import EventType
from tests.broker import RabbitMQ
from tests.contract import check_event, todays
from tests.integration.rabbit import attached
from worker.amqp.messages import event_message
from worker.api.samples import sample
from worker.postgres.database import Database

PUBLIC = "https://pay.shop.example"


async def test_every_type_of_event_arrives_as_the_documents_say(database: Database, broker: RabbitMQ) -> None:
    channels = todays()["asyncapi.json"]["channels"].values()
    addresses = {
        one["bindings"]["amqp"]["exchange"]["name"] for one in channels if one["address"].startswith("payment.")
    }
    async with attached(broker, database) as rabbit, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        (exchange,) = addresses
        await queue.bind(exchange, "payment.*.shop.*")
        for kind in EventType:
            event = sample(kind, PUBLIC)
            post = event_message(event.id, event.type, event.merchant, event.account, event.body)
            await rabbit.publisher.publish([post], seconds=10)
            message = await queue.get(timeout=10)
            read = from_amqp_event(
                AMQPMessage({"content-type": message.content_type}, dict(message.headers), message.body)
            )
            assert (read.get_id(), read.get_type()) == (message.message_id, message.type) == (event.id, kind)
            assert read.get_data() == json.loads(event.body)["data"]
            assert (message.body, message.routing_key) == (event.body, f"{kind}.shop.shop-moneybag")
            check_event(json.loads(message.body))

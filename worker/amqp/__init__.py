"""RabbitMQ, and nothing else: the topology, connections, publishing and consuming."""

"""A shop's request for a payment: how it is read, over HTTP and by message, and the consumer of such messages."""

"""A shop's request for a payment: its shape, which HTTP uses too, and requests that come by a message."""

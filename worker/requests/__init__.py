"""A shop's request for a payment that came by a message in place of HTTP."""

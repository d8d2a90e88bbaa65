"""When a gateway is asked, how often, and when a payment expires."""

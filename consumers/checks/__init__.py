"""When a gateway is asked about a payment, how often, and when the payment expires."""

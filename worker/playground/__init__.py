"""Nothing that a shop relies on: simulated gateways, the demo, the demo shop and the load of `payproof bench`."""

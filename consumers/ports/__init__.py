"""What the domain needs from the outside, as protocols: the ledger, the bus and a gateway."""

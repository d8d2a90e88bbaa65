"""What the domain asks of the machine: the ledger, the bus and a gateway, as protocols."""

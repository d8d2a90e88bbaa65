"""`payproof explain`: why a payment stands as it does, in sentences."""

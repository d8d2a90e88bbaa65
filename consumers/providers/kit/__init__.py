"""What several gateways need: signatures, timestamps, amounts and replies."""

"""Commands of shops and operators: open, track, adopt and resolve a payment."""

"""Simulated gateways for the demo, the tests and a shop's developers: five of them on one port.

The one thing to get wrong: nothing here may use `consumers.providers`. The sandbox is a second, independent reading of
the gateways' documentation; sharing code with the first would let an error in it cancel out.
"""

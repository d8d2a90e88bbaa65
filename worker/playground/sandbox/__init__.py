"""Simulated gateways for the demo, the tests and a shop's developers: all on one port.

No module here may use `consumers.providers`. The sandbox is a second, independent reading of the gateways'
documentation; with shared code an error in the first reading would cancel out.
"""

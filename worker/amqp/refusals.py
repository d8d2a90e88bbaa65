"""What no restart mends at the broker: sentences for whoever runs payproof. Imports nothing, so commands stay quick."""

from __future__ import annotations


class BrokerRefusedError(Exception):
    """The broker does not let us in. The message says why, without the password."""


class TopologyError(Exception):
    """The broker holds something of our name with other arguments. The message names it and the broker's words."""

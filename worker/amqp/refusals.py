"""Faults at the broker that no restart mends, for the operator. Imports nothing, so that commands start quickly."""

from __future__ import annotations


class BrokerRefusedError(Exception):
    """The broker refuses our login. The message says why, without the password."""


class TopologyError(Exception):
    """The broker has a queue or exchange of our name with other arguments. The message has the broker's words."""

"""The nodes of a broker that is a cluster, as `PAYPROOF_AMQP_URL` names them: their URLs, with commas between them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from schemas.secret import Secret


def nodes_of(url: Secret) -> list[Secret]:
    """The URL of each node, in their order. A password may hold a comma, so a comma separates only before a scheme."""
    return [Secret(node) for node in re.split(r"\s*,\s*(?=amqps?://)", url.reveal().strip())]


def address_of(node: Secret) -> str:
    """Host and port of a node, without user and password."""
    return urlsplit(node.reveal()).netloc.rpartition("@")[2]

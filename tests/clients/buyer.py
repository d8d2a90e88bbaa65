"""What every client's script needs beside its client: the sandbox's address, a buyer, and a way to tell.

Only the standard library, as each script runs in an environment that holds its client and nothing of ours.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.request import Request, urlopen

SANDBOX = sys.argv[1]
SHOP = "https://shop.example"


def does(provider: str, reference: str, deed: str = "pay") -> dict[str, Any]:
    """The buyer's deed at the hosted page. Returns the address and, where the browser posts, the form."""
    body = {"provider": provider, "reference": reference, "does": deed, "returns": False}
    asked = Request(f"{SANDBOX}/_control/shopper", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(asked, timeout=20) as answered:
        told: dict[str, Any] = json.load(answered)
    return told


def tell(**did: object) -> None:
    """The script's result, its last line."""
    sys.stdout.write(json.dumps(did, default=str) + "\n")

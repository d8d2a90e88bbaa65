"""What a configured URL is made of, and whether it stays on this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def split_url(url: str) -> tuple[str, str]:
    """The scheme and the host without its port, both in lower case.

    Both are empty unless the text is an http or https URL in printable ASCII, without user, password and fragment.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "", ""
    plain = re.fullmatch(r"[!-~]+", url) and not parts.fragment and "@" not in parts.netloc
    return (parts.scheme, parts.hostname or "") if plain and parts.scheme in ("http", "https") else ("", "")


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

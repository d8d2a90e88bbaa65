"""Which roles use which of the file's secrets. A process needs to be given only those that its roles use."""

from __future__ import annotations

import re
from collections.abc import Collection

_USED_BY = (
    (r"archive\.keys", {"consume", "console", "reconcile"}),
    (r"contacts\.keys", {"ingress", "console"}),  # the one stores hashes, the other finds by them
    (r"console\.operators\[\d+\]\.", {"console"}),
    (r"console\.oidc\.", {"console"}),
    (r"merchants\[\d+\]\.(api_keys|keys)", {"ingress"}),
    (r"merchants\[\d+\]\.webhooks\[\d+\]\.secret", {"ingress", "deliver"}),  # it signs returns too
    (r"merchants\[\d+\]\.webhooks\[\d+\]\.previous_secrets", {"deliver"}),
    (r"merchants\[\d+\]\.accounts\[\d+\]\.webhook_secret", {"ingress"}),
    (r"merchants\[\d+\]\.accounts\[\d+\]\.", {"ingress", "consume"}),  # checkouts are opened by the one
)
"""Paths of secrets, by how they begin, and the roles that use them. The first that fits counts."""


def used(path: str, roles: Collection[str]) -> bool:
    """Whether one of these roles uses the secret at `path`. A path that is not known is used by every role."""
    return next((not users.isdisjoint(roles) for begins, users in _USED_BY if re.match(begins, path)), True)

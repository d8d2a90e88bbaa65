"""How a developer's command reaches payproof as the shop does: an address and an API key."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from worker.config.config_problems import ConfigError, ConfigProblem
from worker.config.env_file import development_here
from worker.config.environment import read_settings
from worker.config.keys import NO_WEBHOOK_SECRET, is_webhook_secret

API_KEY, WEBHOOK_SECRET = "PAYPROOF_API_KEY", "PAYPROOF_WEBHOOK_SECRET"
"""The variables of the shop's key, and of the secret by which it verifies what comes."""


class ShopAccess(Struct, frozen=True):
    """`secret` is what a configuration for development signs with, so that a whole shop needs no other."""

    url: str
    key: str
    secret: str | None = None


def read_shop_access(environ: Mapping[str, str], url: str | None = None) -> ShopAccess:
    """The address and the key. Raises ConfigError where there is no key that can be sent, and OSError.

    With a `url` the key of the environment goes before that of a configuration for development. Without one, both are
    that configuration's, so that a key of production is not sent to it.
    """
    development = development_here(environ)
    here = environ if development is None else development
    first, second = (here, environ) if url is None else (environ, here)
    key = (first.get(API_KEY) or second.get(API_KEY) or "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError([ConfigProblem(API_KEY, "set it to an API key of the shop")])
    problems: list[ConfigProblem] = []
    settings = read_settings(here, problems)
    if url is None and problems:
        raise ConfigError(problems)
    secret = (development or {}).get(WEBHOOK_SECRET) if url is None else None
    if secret and not is_webhook_secret(secret):
        raise ConfigError([ConfigProblem(WEBHOOK_SECRET, NO_WEBHOOK_SECRET)])
    return ShopAccess((settings.public_url if url is None else url).rstrip("/"), key, secret or None)

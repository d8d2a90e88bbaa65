"""The settings that come from environment variables; an empty variable counts as absent."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from schemas.secret import Secret
from worker.config.config_problems import ConfigProblem
from worker.config.secrets import SecretError, Secrets
from worker.config.settings import Settings
from worker.config.url_parts import split_url
from worker.runtime.broker_nodes import address_of, nodes_of
from worker.runtime.connection_limits import MOST_CONNECTIONS

DEFAULT_CONFIG = "payproof.toml"
DEFAULT_DATA_DIR = ".payproof"
DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_OPS_LISTEN = "127.0.0.1:9090"
DEFAULT_CONSOLE_LISTEN = "127.0.0.1:8070"
FEWEST_CONNECTIONS = 10
OWN_PATHS = ("return", "webhooks", "ipn", "v1", "schemas", "docs", "openapi.json", "asyncapi.json")


def config_path(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("PAYPROOF_CONFIG") or DEFAULT_CONFIG)


def read_settings(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Settings:
    """The settings. A wrong value adds a problem to `problems`; the settings are then not to be used."""
    listen = _listen(environ, "PAYPROOF_LISTEN", DEFAULT_LISTEN, problems)
    return Settings(
        config_path=config_path(environ),
        database_url=_url(environ, "PAYPROOF_DATABASE_URL", ("postgres", "postgresql"), problems),
        database_direct_url=_direct_url(environ, problems),
        data_dir=Path(environ.get("PAYPROOF_DATA_DIR") or DEFAULT_DATA_DIR),
        amqp_url=_amqp_url(environ, problems),
        public_url=_public_url(environ, listen, problems),
        listen=listen,
        ops_listen=_listen(environ, "PAYPROOF_OPS_LISTEN", DEFAULT_OPS_LISTEN, problems),
        console_listen=_listen(environ, "PAYPROOF_CONSOLE_LISTEN", DEFAULT_CONSOLE_LISTEN, problems),
        log=_log(environ, problems),
        trusted_proxies=_networks(environ, problems),
        max_connections=_connections(environ, problems),
    )


def _listen(environ: Mapping[str, str], name: str, default: str, problems: list[ConfigProblem]) -> tuple[str, int]:
    found = _host_and_port(environ.get(name) or default)
    if found is None:
        problems.append(ConfigProblem(name, "must be host:port, such as 127.0.0.1:8080 or [::1]:8080"))
    return found or _host_and_port(default) or ("127.0.0.1", 0)


def _host_and_port(text: str) -> tuple[str, int] | None:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text, re.ASCII)
    return (match[1] or match[2], int(match[3])) if match and int(match[3]) <= 65535 else None


def _public_url(environ: Mapping[str, str], listen: tuple[str, int], problems: list[ConfigProblem]) -> str:
    host, port = listen
    url = environ.get("PAYPROOF_PUBLIC_URL") or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if not split_url(url)[1] or "?" in url:
        problems.append(ConfigProblem("PAYPROOF_PUBLIC_URL", "must be an http or https URL without query and fragment"))
    elif (why := _wrong_path(urlsplit(url).path.rstrip("/"))) is not None:
        problems.append(ConfigProblem("PAYPROOF_PUBLIC_URL", why))
    return url.rstrip("/")


def _wrong_path(path: str) -> str | None:
    """Why this path cannot be in front of ours.

    A request comes with it or without, so it may not begin like a path of ours.
    """
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path, re.ASCII):
        return "its path may hold letters, digits and - . _ ~ between single slashes"
    first = path.split("/")[1] if path else ""
    return f"its path must not begin with /{first}, where paths of payproof begin" if first in OWN_PATHS else None


def _url(
    environ: Mapping[str, str], name: str, schemes: tuple[str, ...], problems: list[ConfigProblem]
) -> Secret | None:
    """The URL of the variable, or of the file that it names as `file:PATH`. None where it is not set or cannot be read.

    A URL holds a password, and an environment is easily shown.
    """
    text = environ.get(name)
    if not text:
        return None
    if text.startswith("file:"):
        try:
            text = Secrets(environ, config_path(environ).parent).resolve(text)[0].reveal()
        except SecretError as error:
            problems.append(ConfigProblem(name, str(error)))
            return None
    if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        problems.append(ConfigProblem(name, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"))
    return Secret(text)


def _direct_url(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Secret | None:
    name = "PAYPROOF_DATABASE_DIRECT_URL"
    if environ.get(name) and not environ.get("PAYPROOF_DATABASE_URL"):
        problems.append(ConfigProblem(name, "is set without PAYPROOF_DATABASE_URL, which would be the pooler's"))
    return _url(environ, name, ("postgres", "postgresql"), problems)


def _amqp_url(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Secret | None:
    url = _url(environ, "PAYPROOF_AMQP_URL", ("amqp", "amqps"), problems)
    if url is not None and any("," in address_of(node) for node in nodes_of(url)):
        words = "each node needs a URL of its own, as in amqp://user:password@one/,amqp://user:password@two/"
        problems.append(ConfigProblem("PAYPROOF_AMQP_URL", words))
    return url


def _networks(environ: Mapping[str, str], problems: list[ConfigProblem]) -> tuple[IPv4Network | IPv6Network, ...]:
    found = []
    for part in (environ.get("PAYPROOF_TRUSTED_PROXIES") or "").split(","):
        try:
            found += [ip_network(part.strip())] if part.strip() else []
        except ValueError:
            problems.append(
                ConfigProblem("PAYPROOF_TRUSTED_PROXIES", f"{part.strip()}: must be an address or a network")
            )
    return tuple(found)


def _connections(environ: Mapping[str, str], problems: list[ConfigProblem]) -> int:
    name = "PAYPROOF_MAX_CONNECTIONS"
    text = environ.get(name) or str(MOST_CONNECTIONS)
    if re.fullmatch("[0-9]{1,7}", text, re.ASCII) and int(text) >= FEWEST_CONNECTIONS:
        return int(text)
    problems.append(ConfigProblem(name, f"must be a whole number, {FEWEST_CONNECTIONS} or more"))
    return MOST_CONNECTIONS


def _log(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Literal["json", "console"]:
    match environ.get("PAYPROOF_LOG") or ("console" if sys.stderr.isatty() else "json"):
        case "json":
            return "json"
        case "console":
            return "console"
    problems.append(ConfigProblem("PAYPROOF_LOG", "must be json or console"))
    return "json"

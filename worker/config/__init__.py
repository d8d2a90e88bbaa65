"""The configuration: environment and TOML file in, one frozen `Config` or every problem at once out.

A configuration for development has a `.env` beside it. Nothing else in the process reads the configuration's variables
or the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import asdict, replace

from consumers.account import Account
from consumers.providers import PROVIDERS
from schemas.secret import ElsewhereSecret, Secret
from worker.config.config_problems import ConfigError, ConfigProblem
from worker.config.consistency import DocumentRules, rules_for
from worker.config.env_file import NAME, is_development, with_env_file
from worker.config.environment import config_path, read_settings
from worker.config.keys import hashed, is_hashed
from worker.config.oidc import missing_extra
from worker.config.read_toml import BAD, Reader, WrittenNumber, type_info
from worker.config.secret_use import used
from worker.config.secrets import Secrets
from worker.config.shapes import ApiKey, Archive, Caller, Config, File, Merchant, Settings, Webhook, rules_of

__all__ = [
    "ApiKey",
    "Archive",
    "Caller",
    "Config",
    "ConfigError",
    "File",
    "Merchant",
    "Settings",
    "Webhook",
    "load",
    "rules_of",
]


def load(
    environ: Mapping[str, str],
    *,
    roles: Collection[str] | None = None,
    providers: Mapping[str, type[Struct]] = cast("Mapping[str, type[Struct]]", PROVIDERS),
) -> Config:
    """Read the environment and the file that it names. `providers` are the gateways' classes by their names.

    With `roles`, a secret that none of them uses may be missing; it then raises SecretElsewhere when it is revealed.
    An extra's packages are looked for only where one of them uses it.
    Raises ConfigError with every problem that was found; no message holds a secret.
    """
    problems: list[ConfigProblem] = []
    path, unread = config_path(environ), list[ConfigProblem]()
    document = _document(path, unread)
    development = is_development(document)
    if development:
        try:
            environ = with_env_file(environ, path.parent)
        except OSError as error:
            problems.append(ConfigProblem(str(path.parent / NAME), f"cannot be read: {error.strerror}"))
    settings = read_settings(environ, problems)
    if document is None:
        raise ConfigError(problems + unread)
    if development:  # it is where its configuration is, wherever a command begins
        settings = replace(settings, data_dir=path.parent.absolute() / settings.data_dir.expanduser())
    rules = DocumentRules(document, providers)
    reader = Reader(
        Secrets(environ, path.parent),
        rules=rules_for(rules),
        specials={Account: rules.account},
        needs=lambda place: roles is None or used(place, roles),
    )
    file = reader.read(type_info(File), document, "")
    problems += reader.problems
    if file is not BAD and file.console.oidc is not None and "console" in (roles or ()) and (wrong := missing_extra()):
        problems.append(ConfigProblem("console.oidc", wrong))
    if problems or file is BAD:
        raise ConfigError(problems)
    return _config(file, settings, tuple(reader.literals))


def _document(path: Path, problems: list[ConfigProblem]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"), parse_float=WrittenNumber)
    except FileNotFoundError:
        problems.append(
            ConfigProblem(
                str(path),
                "there is no such file; `payproof init` writes a starter, `payproof init --sandbox` one to try it with",
            )
        )
    except OSError as error:
        problems.append(ConfigProblem(str(path), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        problems.append(ConfigProblem(str(path), "is not UTF-8 text"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(ConfigProblem(str(path), f"is not TOML: {error}"))
    return None


def _config(file: File, settings: Settings, literals: tuple[str, ...]) -> Config:
    merchants = tuple(
        replace(
            merchant,
            api_keys=tuple(_as_hash(key) for key in merchant.api_keys),
            keys=tuple(replace(key, hash=_as_hash(key.written), key=None) for key in merchant.keys),
            accounts=tuple(replace(account, merchant=merchant.id) for account in merchant.accounts),
        )
        for merchant in file.merchants
    )
    hosts = frozenset(host.lower() for host in file.allow_http_hosts)
    values = {**asdict(file), "merchants": merchants, "allow_http_hosts": hosts}
    return Config(**values, settings=settings, literal_secrets=literals)


def _as_hash(key: Secret) -> Secret:
    return key if isinstance(key, ElsewhereSecret) or is_hashed(key) else Secret(hashed(key.reveal()))

"""The content of `deploy/`, read as its users read it: the image's recipe, compose's services, Kubernetes' objects.

A YAML file with a duplicate key is an error: PyYAML would take the last value silently, and engines refuse the file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

Document = dict[str, Any]


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Document:
        names = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(names) == len(set(names)), f"{node.start_mark}: a key stands there twice in {names}"
        self.flatten_mapping(node)
        return super().construct_mapping(node, deep)


# The safe loader's own constructor flattens first, and a key that is merged in and overridden would count as twice.
_Strict.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))


def documents(path: Path) -> Iterator[Document]:
    yield from yaml.load_all(path.read_text(encoding="utf-8"), _Strict)


def compose(environ: Mapping[str, str] | None = None) -> Document:
    """`compose.yaml` with its variables filled in, as `docker compose config` would show it."""
    document = _compose()

    def fill(text: str) -> str:
        return re.sub(r"\$(?:\$|\{(\w+):-([^}]*)\})", lambda found: _value(found, environ or {}), text)

    filled: Document = _every(document, fill)
    return filled


@cache
def _compose() -> Document:
    (document,) = documents(DEPLOY / "compose.yaml")
    return document


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    return "$" if found[0] == "$$" else environ.get(found[1]) or found[2]


def _every(value: Any, fill: Any) -> Any:
    if isinstance(value, dict):
        return {key: _every(inner, fill) for key, inner in value.items()}
    if isinstance(value, list):
        return [_every(inner, fill) for inner in value]
    return fill(value) if isinstance(value, str) else value


class Image(Struct, frozen=True):
    """`instructions` are the words and arguments of the last stage, `before` those of the stages that build for it."""

    before: list[tuple[str, str]]
    instructions: list[tuple[str, str]]

    def all(self, word: str) -> list[str]:
        return [text for name, text in self.instructions if name == word]

    @property
    def environment(self) -> dict[str, str]:
        words = [word.partition("=") for text in self.all("ENV") for word in shlex.split(text)]
        return {name: value for name, _, value in words}

    @property
    def sources(self) -> list[str]:
        """What the stages before copy from the checkout."""
        return [source for name, text in self.before if name == "COPY" for source in text.split()[:-1]]


@cache
def image() -> Image:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    split = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]
    last = max(index for index, (word, _) in enumerate(split) if word == "FROM")
    return Image(split[:last], split[last:])


@cache
def kustomization() -> Document:
    (document,) = documents(KUBERNETES / "kustomization.yaml")
    return document


@cache
def manifests() -> list[Document]:
    """Every object that the kustomization lists, as in its file. It is read once; callers must not change it."""
    return [document for name in kustomization()["resources"] for document in documents(KUBERNETES / name)]


@cache
def settings_read() -> set[str]:
    """The environment variables that the process reads; only that module reads any."""
    return set(re.findall(r'"(PAYPROOF_[A-Z_]+)"', (ROOT / "worker/config/environment.py").read_text(encoding="utf-8")))

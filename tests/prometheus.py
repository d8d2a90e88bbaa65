"""A private Prometheus: the Debian server on a private port in a temporary directory, ended by its process id."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.harness import free_ports
from tests.processes import directory

RULES = Path(__file__).parents[1] / "deploy/prometheus/rules.yaml"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
CONFIG = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: ["{rules}"]
scrape_configs:
  - job_name: payproof
    static_configs:
      - targets: ["{target}"]
"""


class Prometheus:
    """One server; `ask` speaks its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **words: str) -> Any:
        """Its answer to `/api/v1/<path>`. Raises AssertionError with its words, and URLError."""
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(words)}", timeout=10) as answer:
            told = json.loads(answer.read())
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[Any]:
        """The current series of an expression."""
        return list(self.ask("query", query=expression)["result"])


@contextmanager
def prometheus(target: str) -> Iterator[Prometheus]:
    """A server that scrapes this address every second and evaluates our rules; everything ended afterwards."""
    (port,) = free_ports(1)
    with directory() as place, (place / "prometheus.log").open("wb") as log:
        (place / "prometheus.yaml").write_text(CONFIG.format(rules=RULES, target=target))
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={place / 'prometheus.yaml'}",
                f"--storage.tsdb.path={place / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield _ready(server, Prometheus(f"http://127.0.0.1:{port}"), place / "prometheus.log")
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def _ready(server: subprocess.Popen[bytes], made: Prometheus, log: Path) -> Prometheus:
    """Wait until it has scraped its target."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            if made.query("up == 1"):
                return made
        except URLError:
            pass
        if server.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"prometheus did not come up: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def promtool(*words: str, told: str = "") -> str:
    """The output of promtool. Raises AssertionError with it when promtool finds an error."""
    done = subprocess.run(["promtool", *words], input=told, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

"""A private Prometheus: the Debian server on a private port in a temporary directory, ended by its process id."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.harness import free_ports
from tests.processes import directory

RULES = Path(__file__).parents[1] / "deploy/prometheus/rules.yaml"
SHIPPED = Path(__file__).parents[1] / "deploy/prometheus/prometheus.yml"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


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
def prometheus(
    services: Mapping[str, str], rabbitmq: str = "", *, every: str = "", pending: str = ""
) -> Iterator[Prometheus]:
    """A server with the shipped files, ended afterwards; it is ready when it has scraped each target once.

    `services`: the address of each service, by its name in the DNS; `rabbitmq`: that of RabbitMQ's exporter.
    `every`: the time between two scrapes and between two evaluations; empty for the shipped times. `pending`: the `for`
    of every alert in place of its own.
    """
    (port,) = free_ports(1)
    with directory() as place, (place / "prometheus.log").open("wb") as log:
        rules = RULES.read_text()
        (place / "rules.yaml").write_text(re.sub(r"\bfor: \w+", f"for: {pending}", rules) if pending else rules)
        config = shipped(services, rabbitmq, every)
        (place / "prometheus.yml").write_text(json.dumps(config))
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={place / 'prometheus.yml'}",
                f"--storage.tsdb.path={place / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            made = Prometheus(f"http://127.0.0.1:{port}")
            yield _ready(server, made, len(services) + bool(rabbitmq), place / "prometheus.log")
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def scraped() -> list[str]:
    """The names in the DNS of the services that the shipped file scrapes."""
    (found,) = yaml.safe_load(SHIPPED.read_text())["scrape_configs"][0]["dns_sd_configs"]
    return list(found["names"])


def shipped(services: Mapping[str, str], rabbitmq: str = "", every: str = "") -> dict[str, Any]:
    """The shipped configuration with these addresses where it asks the DNS. All else is as it is shipped.

    The parameters are those of `prometheus`.
    """
    config: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    if every:
        config["global"] |= dict.fromkeys(("scrape_interval", "evaluation_interval", "scrape_timeout"), every)
    ours, broker = config["scrape_configs"]
    (asked,) = ours.pop("dns_sd_configs")
    assert set(services) <= set(asked["names"]), "the shipped file finds these services"
    ours["static_configs"] = [
        {"targets": [address], "labels": {"__meta_dns_name": name}} for name, address in services.items()
    ]
    broker["static_configs"] = [{"targets": [rabbitmq]}] if rabbitmq else []
    return config


def _ready(server: subprocess.Popen[bytes], made: Prometheus, targets: int, log: Path) -> Prometheus:
    """Wait until it has scraped its targets."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            if len(made.query("up == 1")) == targets:
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

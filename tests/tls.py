"""Engines that speak TLS, with certificates of an authority that a test makes. They are reached at `localhost`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from msgspec import Struct

from tests.broker import RabbitMQ, rabbitmq
from tests.harness import free_ports
from tests.processes import directory
from worker.postgres.server.cluster import SETTINGS, Cluster

SECONDS = 60
RABBITMQ = """\
listeners.ssl.default = 127.0.0.1:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
"""


class Authority(Struct, frozen=True):
    """An authority's own file, and the files of a certificate that it issued for `localhost`."""

    authority: Path
    certificate: Path
    key: Path


def authority(place: Path) -> Authority:
    made = Authority(place / "ca.crt", place / "server.crt", place / "server.key")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(made.authority)
    issued.cert_chain_pems[0].write_to_path(made.certificate)
    issued.private_key_pem.write_to_path(made.key)
    return made


@contextmanager
def postgres_over_tls(files: Authority) -> Iterator[str]:
    """A server that takes encrypted connections over TCP and no plain ones. Yields its URL, without an sslmode."""
    (port,) = free_ports(1)
    with directory() as place:
        place.chmod(0o755)
        cluster = Cluster(place / "postgres")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # the embedded server is built without TLS
        assert found, "there is no PostgreSQL of the system; deploy/dev test installs it"
        cluster.programs = found[-1]
        cluster.create()
        for source, name in ((files.certificate, "server.crt"), (files.key, "server.key")):
            copied = cluster.home / name
            copied.write_bytes(source.read_bytes())
            copied.chmod(0o600)
            cluster.identity.own(copied)
        (cluster.home / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        settings = SETTINGS | {"listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on"}
        settings["unix_socket_directories"] = str(cluster.home)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        pg_ctl = cluster.programs / "pg_ctl"
        log = cluster.home / "server.log"
        started = cluster.identity.run(
            pg_ctl, "start", "-D", cluster.home, "-w", "-l", log, "-o", options, seconds=SECONDS
        )
        assert started.returncode == 0, started.stdout + (log.read_text() if log.exists() else "")
        try:
            yield f"postgresql://payproof@localhost:{port}/payproof"
        finally:
            cluster.identity.run(pg_ctl, "stop", "-D", cluster.home, "-m", "immediate", "-w", seconds=SECONDS)


@contextmanager
def rabbitmq_over_tls(files: Authority) -> Iterator[tuple[RabbitMQ, str]]:
    """A node, and its URL over TLS without the authority's file."""
    (port,) = free_ports(1)
    names = {"authority": files.authority, "certificate": files.certificate, "key": files.key}
    assert all(os.access(path, os.R_OK) for path in names.values())
    with rabbitmq(RABBITMQ.format(port=port, **names)) as broker:
        yield broker, f"amqps://guest:guest@localhost:{port}/"

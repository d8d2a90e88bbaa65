"""TLS to PostgreSQL and RabbitMQ: verified connections work, and what cannot be verified is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.secret import Secret
from tests.commands import shop_command
from tests.processes import directory
from tests.tls import Authority, authority, postgres_over_tls, rabbitmq_over_tls
from worker.amqp.diagnose import diagnose
from worker.ops.doctor.transport import Transport, broker_transport, database_transport
from worker.postgres.database import connect
from worker.postgres.server.migrate import MigrationError, apply_migrations
from worker.postgres.server.schema import bring_up_to_date, expect_present


@pytest.fixture(scope="module")
def files() -> Iterator[Authority]:
    with directory() as place:
        place.chmod(0o755)
        yield authority(place)


@pytest.fixture(scope="module")
def other() -> Iterator[Path]:
    """The file of an authority that issued nothing here."""
    with directory() as place:
        yield authority(place).authority


@pytest.fixture(scope="module")
def database(files: Authority) -> Iterator[str]:
    with postgres_over_tls(files) as url:
        yield url


@pytest.fixture(scope="module")
def broker(files: Authority) -> Iterator[str]:
    with rabbitmq_over_tls(files) as (_, url):
        yield url


def verified(url: str, root: Path, host: str = "localhost") -> str:
    return f"{url.replace('@localhost', f'@{host}')}?sslmode=verify-full&sslrootcert={root}"


async def test_the_database_is_migrated_read_and_listened_to_over_a_verified_connection(
    files: Authority, database: str
) -> None:
    url = verified(database, files.authority)
    await apply_migrations(url)
    assert await bring_up_to_date(url) == ()
    async with connect(url, size=2) as opened:
        (row,) = await opened.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert row["ssl"]
        session = await opened.session("turns")
        assert await session.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await session.close()
    found = await database_transport(url)
    assert found is not None
    assert (found.verified, found.protocol is not None) == (True, True)
    plain = await database_transport(database)
    assert plain is not None, "without an sslmode the server's encryption is taken, and nobody is verified"
    assert (plain.verified, plain.protocol is not None) == (False, True)


async def test_a_server_that_cannot_be_verified_is_refused_in_words(
    files: Authority, other: Path, database: str
) -> None:
    with pytest.raises(MigrationError, match="CERTIFICATE_VERIFY_FAILED"):
        await expect_present(verified(database, other))
    with pytest.raises(MigrationError, match=r"127\.0\.0\.1"):
        await expect_present(verified(database, files.authority, host="127.0.0.1"))
    with pytest.raises(MigrationError, match="no encryption"):
        await expect_present(f"{database}?sslmode=disable")
    for host, root in (("localhost", other), ("127.0.0.1", files.authority)):
        with pytest.raises(MigrationError):
            await apply_migrations(verified(database, root, host))


async def test_the_broker_is_used_over_a_verified_connection_and_otherwise_refused_in_words(
    files: Authority, other: Path, broker: str
) -> None:
    found = await diagnose(Secret(f"{broker}?cafile={files.authority}"), {"ipay"})
    assert (found.trouble, found.silent) == (None, ())
    for url, why in (
        (f"{broker}?cafile={other}", "its certificate is not accepted"),
        (broker, "its certificate is not accepted"),
        (f"{broker.replace('@localhost', '@127.0.0.1')}?cafile={files.authority}", "its certificate is not accepted"),
    ):
        refused = await diagnose(Secret(url), {"ipay"})
        assert refused.trouble is not None, url
        assert why in refused.trouble
        assert "guest" not in refused.trouble


async def test_serve_and_doctor_say_what_they_could_not_verify(other: Path, database: str, broker: str) -> None:
    urls = {"PAYPROOF_DATABASE_URL": verified(database, other), "PAYPROOF_AMQP_URL": f"{broker}?cafile={other}"}
    code, _, told = await shop_command("serve", "--roles=ingress", **urls)
    assert (code, "CERTIFICATE_VERIFY_FAILED" in told) == (1, True), told
    code, found, _ = await shop_command("doctor", **urls)
    assert code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in found
    assert "its certificate is not accepted" in found


def test_a_brokers_url_tells_whether_it_is_verified() -> None:
    assert broker_transport("amqp://me@mq/") == Transport(host="mq", verified=True, protocol=None)
    assert broker_transport("amqps://me@mq/?no_verify_ssl=1") == Transport(host="mq", verified=False, protocol="TLS")
    assert broker_transport("amqps://me@mq/?cafile=a") == Transport(host="mq", verified=True, protocol="TLS")

"""The fixtures of tests of a console whose operators sign in at a provider of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.consoles import Console, running_console
from tests.oidc_provider import TestProvider, provider_running
from worker.config import console as config_console
from worker.postgres.database import Database


@pytest.fixture
async def provider() -> AsyncIterator[TestProvider]:
    async with provider_running() as provider:
        yield provider


def console_of(operators: Sequence[config_console.Operator]):
    """The fixture of a console of these operators beside the provider."""

    @pytest.fixture
    async def console(database: Database, provider: TestProvider) -> AsyncIterator[Console]:
        settings = config_console.Console(operators=tuple(operators), oidc=provider.oidc())
        async with running_console(database, console=settings) as console:
            yield console

    return console

"""Buyers with real browsers. Afterwards no page of theirs may have complained."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.browser.chromium import Windows, windows_of


@pytest.fixture
async def windows(request: pytest.FixtureRequest) -> AsyncIterator[Windows]:
    async with windows_of(request.node.name) as windows:
        yield windows
    assert windows.complaints == []

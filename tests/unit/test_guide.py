"""The guides' tables are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.guide import source
from tests.guide.__main__ import GUIDES
from tests.guide.tables import filled
from worker.telemetry.metrics import Metrics

PAGES = sorted(GUIDES.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "python -m tests.guide makes them anew"


def test_every_metric_that_a_process_counts_is_found_in_the_source() -> None:
    families = text_string_to_metric_families(generate_latest(Metrics().registry).decode())
    ours = {one.name for one in families if not one.name.startswith("payproof_process")}
    assert ours <= {one.name.removesuffix("_total") for one in source.metrics()}

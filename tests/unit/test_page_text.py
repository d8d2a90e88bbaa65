"""What the console's pages do with texts of strangers."""

from __future__ import annotations

import htpy as h
import pytest

from worker.console.layout import Page


@pytest.mark.parametrize("sign", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", ids=ascii)
async def test_no_text_turns_the_words_beside_it_around(sign: str) -> None:
    page = Page(h.p[f"karima{sign} proposes: completed", h.input(value=sign)], 200)
    await page.write_text()
    assert page.text == '<p>karima\ufffd proposes: completed<input value="\ufffd"></p>'


async def test_bangla_and_signs_that_join_letters_stay() -> None:
    words = "র\u200d্যাব, ক\u200c্ষ, 😀"
    page = Page(h.p[words], 200)
    await page.write_text()
    assert page.text == f"<p>{words}</p>"

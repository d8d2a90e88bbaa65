"""The word a callback carries on the outcome: success, failure or cancel.

The one thing to get wrong: it is what somebody said. It may choose the question and never becomes the answer, so an
unknown word is simply no word.
"""

from __future__ import annotations

from schemas.callbacks import Callback
from schemas.words import Said

_WORDS = {
    "success": Said.SUCCESS,
    "succeeded": Said.SUCCESS,
    "completed": Said.SUCCESS,
    "paid": Said.SUCCESS,
    "fail": Said.FAILURE,
    "failed": Said.FAILURE,
    "failure": Said.FAILURE,
    "declined": Said.FAILURE,
    "cancel": Said.CANCEL,
    "cancelled": Said.CANCEL,
    "canceled": Said.CANCEL,
}


def said(callback: Callback, word: object = None) -> Said | None:
    """The word of our own URL's path, else the gateway's own `word` in any case and spelling seen so far."""
    if callback.said is not None:
        return callback.said
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) else None

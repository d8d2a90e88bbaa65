"""The outcome that a callback claims: success, failure or cancel.

It is only a claim: it may lead to a question, and must never become an answer, or anyone could declare a payment paid.
So an unknown word is no outcome.
"""

from __future__ import annotations

from schemas.callbacks import Callback
from schemas.words import Said

_WORDS = {
    "success": Said.SUCCESS,
    "succeeded": Said.SUCCESS,
    "successful": Said.SUCCESS,
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


def said_of(callback: Callback, word: object = None) -> Said | None:
    """The outcome in our own URL's path, else that of the gateway's `word`; None where the word is unknown."""
    if callback.said is not None:
        return callback.said
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) else None

"""The attempts of one payment at SSLCOMMERZ, as its query by our reference answers them. Source: SSL-T.

One attempt that failed ends nothing while another is open, and two paid attempts are two payments of money. SSL-OBS is
what the sandbox answered to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from consumers.providers import kit

# `status` of an element (SSL-T has VALID, VALIDATED, PENDING and FAILED; SSL-OBS PROCESSING; the others are words of an
# IPN, and of other clients). VALID and VALIDATED are the same money: only the first look at it says VALID.
STATUSES: Mapping[str, kit.Status] = {
    "VALID": kit.Status.COMPLETED,
    "VALIDATED": kit.Status.COMPLETED,
    "PENDING": kit.Status.PENDING,
    "PROCESSING": kit.Status.PENDING,  # opened, and not paid yet
    "UNATTEMPTED": kit.Status.PENDING,  # "Customer did not choose to pay any channel"
    "": kit.Status.PENDING,
    "FAILED": kit.Status.FAILED,
    "CANCELLED": kit.Status.CANCELLED,
    "EXPIRED": kit.Status.EXPIRED,
}
_UNKNOWN = "INVALID"  # the single element of a reply that found nothing (SSL-OBS)
_OF_A_VAL_ID = "INVALID_TRANSACTION"  # says that a `val_id` is unknown, and nothing about a payment; we ask by none

_RISKS: Mapping[str, kit.Risk] = {"0": kit.Risk.LOW, "1": kit.Risk.HIGH}


def read_attempts(body: Mapping[str, Any], reference: str) -> kit.Answer | kit.Inconclusive:
    """The answer of all elements about `reference`, in any order of them.

    Every paid one counts, whatever unpaid ones stand beside it. Without one, all have to be readable. Then a word that
    nobody knows comes first, then an open attempt, then the highest status of the attempts that ended.
    """
    elements = _elements(body)
    if _is_unknown(body, elements):
        return kit.not_found()
    answers, unread = list[kit.Answer](), list[kit.Unreadable]()
    for element in elements:
        try:
            answers.append(_one(element))
        except kit.Unreadable as error:
            if _may_be_paid(element):
                raise  # it may be a second payment of the money
            unread.append(error)
    answers = _about(answers, reference)
    if paid := [one for one in answers if one.paid]:
        return replace(paid[0], others=tuple(paid[1:]))
    if unread:
        raise unread[0]
    if not answers:
        raise kit.Unreadable("no element is about the reference that was asked for")
    for status in (None, kit.Status.PENDING):
        if found := next((one for one in answers if one.status is status), None):
            return found
    return max(answers, key=lambda one: one.status.rank if one.status is not None else 0)


def _about(answers: list[kit.Answer], reference: str) -> list[kit.Answer]:
    """The attempts that may be ours: those with exactly our reference or none, else with one that may be ours."""
    exact = [one for one in answers if one.reference in (None, reference)]
    if any(one.reference == reference for one in exact):
        return exact
    return [one for one in answers if one.reference is None or kit.may_be_ours(one.reference, reference)]


def _is_unknown(body: Mapping[str, Any], elements: list[Any]) -> bool:
    """Whether it is the reply about a reference that SSLCOMMERZ does not know (SSL-OBS)."""
    only = elements[0] if len(elements) == 1 else None
    return isinstance(only, dict) and _word(only) == _UNKNOWN and kit.whole(body.get("no_of_trans_found")) == 0


def _elements(body: Mapping[str, Any]) -> list[Any]:
    """The attempts: a list, one of them as a bare object, or the reply itself, which is flat (seen by others)."""
    found = body.get("element")
    if found is None and "status" in body:
        found = body
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not found:
        raise kit.Unreadable("element is missing or no list of attempts")
    return found


def _word(element: Mapping[str, Any]) -> str:
    """The word of an attempt. A null one is as empty. A missing one is unreadable, as is an empty one at a val_id."""
    if "status" in element and element.get("status") in (None, "") and not element.get("val_id"):
        return ""
    return kit.required_text(element, "status")


def _may_be_paid(element: object) -> bool:
    """By its word, or by its `val_id`: a failed, cancelled or unattempted attempt has none (SSL-T)."""
    if not isinstance(element, dict):
        return False
    word = kit.aside(element, "status")
    return bool(element.get("val_id")) or (isinstance(word, str) and STATUSES.get(word) is kit.Status.COMPLETED)


def _one(element: object) -> kit.Answer:
    """One attempt. `currency_amount` is the amount that we sent; `amount` is in BDT, `store_amount` without the fee.

    Raises Unreadable, also for an unpaid attempt without `tran_id`: it may be an error of the query itself.
    """
    if not isinstance(element, dict):
        raise kit.Unreadable("an element is no attempt")
    word = _word(element)
    if word == _OF_A_VAL_ID:
        raise kit.Unreadable("an element is about a val_id, and we asked by none")
    status = STATUSES.get(word)
    known = kit.Answer(status=status, word=word, reference=kit.optional_text(element, "tran_id"))
    if status is not kit.Status.COMPLETED:
        if known.reference is None:
            raise kit.Unreadable("an unpaid element without tran_id is not about our payment")
        return known
    return kit.Answer(
        status=status,
        word=word,
        reference=known.reference,
        session_id=kit.optional_text(element, "sessionkey"),
        transaction_id=kit.optional_text(element, "bank_tran_id"),
        currency=kit.optional_text(element, "currency_type"),
        method=kit.lower_or_none(element, "card_type"),
        risk=_RISKS.get(str(element.get("risk_level"))),
        paid_at=kit.time_or_none(kit.timestamps.iso_or_dhaka, kit.aside(element, "tran_date")),
        **kit.read_amounts(amount=element.get("currency_amount")),
    )

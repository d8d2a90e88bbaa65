"""The acts that the comparison of two programs draws, and the differences that it finds."""

from __future__ import annotations

from msgspec.structs import replace

from tests.compare.acts import ALL, drawn, reference
from tests.compare.telling import Came, Difference, End, about, differences, in_order

CAME = Came(
    payment=["completed"], events=["opened", "completed"], timeline=["claim"], deliveries=[], calls=["status: 1"]
)
WHO = "<shop-ipay/order-00001>"
END = End(payments={WHO: CAME}, answers=["opened", "sent back"])


def test_one_seed_draws_one_list_of_acts() -> None:
    assert drawn(7, 50) == drawn(7, 50)
    assert drawn(7, 50) != drawn(8, 50)


def test_every_payment_is_opened_or_known_elsewhere_before_anything_else_is_done_about_it() -> None:
    begun: set[int] = set()
    for act in drawn(7, 200):
        assert act.n in begun or act.does in ("opens", "opens elsewhere", "troubles")
        begun.add(act.n)
    assert begun == set(range(1, 201))


def test_every_kind_of_act_is_drawn() -> None:
    assert {act.does for act in drawn(7, 200)} == set(ALL)


def test_equal_ends_do_not_differ() -> None:
    assert list(differences(END, END)) == []


def test_what_differs_is_told_with_the_payment_and_the_part_of_it() -> None:
    other = replace(CAME, events=["opened", "held"], timeline=["claim", "question"])
    assert list(differences(END, replace(END, payments={WHO: other}))) == [
        Difference(who=WHO, what="events", lines=["@@ -1,2 +1,2 @@", " opened", "-completed", "+held"]),
        Difference(who=WHO, what="timeline", lines=["@@ -1 +1,2 @@", " claim", "+question"]),
    ]


def test_a_payment_that_one_program_alone_knows_is_told() -> None:
    assert [str(one) for one in differences(END, replace(END, payments={}))] == [
        f"{WHO}, known:\n    only to the one before"
    ]


def test_an_act_that_was_answered_otherwise_is_told() -> None:
    (found,) = differences(END, replace(END, answers=["opened", "404"]))
    assert found.lines == ["@@ -1,2 +1,2 @@", " opened", "-sent back", "+404"]


def test_claims_that_came_together_are_compared_in_any_order() -> None:
    one, other, question = '{"a": 1, "kind": "claim"}', '{"a": 2, "kind": "claim"}', '{"kind": "question"}'
    assert in_order([other, one, question]) == in_order([one, other, question])
    assert in_order([other, question, one]) != in_order([one, question, other])


def test_what_was_done_about_a_payment_is_told_beside_its_difference() -> None:
    acts = drawn(7, 20)
    assert about(acts, f"<shop-ipay/{reference(3)}>") == [str(act) for act in acts if act.n == 3]

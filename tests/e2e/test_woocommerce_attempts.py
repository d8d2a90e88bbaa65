"""Orders in WooCommerce with several attempts, of which two may be paid, in every order of their events.

WooCommerce sends mails at `refunded` and books the stock back: what is paid after that waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.two_attempts import PAID, REFUNDED, STORIES, Story, played
from tests.e2e.wordpress import WordPress, wordpress_alone

AFTER = Story("the first is refunded and the second is paid", [[PAID, REFUNDED], [PAID]], "paid")
TOLD = [*STORIES, AFTER]
TELL = """
$ends = [];
foreach ($given as [$story, $sent, $events]) {
    $order_id = standin_order();
    $references = [];
    foreach ($events as $event) {
        $number = (int) substr($event['reference'], -1);
        while (count($references) < $number) {
            $references[] = attempt($order_id);
        }
        $event['order'] = payproof_order_name(wc_get_order($order_id));
        $event['reference'] = $references[$number - 1];
        $event['account'] = 'shop-payparse';
        payproof_apply_payment($event);
        payproof_apply_payment($event);
        if ($sent && shown($order_id)['status'] === 'processing') {
            standin_change($order_id, ['status' => 'completed']);
        }
    }
    $ends[] = [$story, $sent, shown($order_id)['history'], shown($order_id)['status']];
}
return $ends;
"""
STATUS = {"paid": ("processing", "completed"), "held": ("on-hold",), "refunded": ("refunded",), "open": ("failed",)}


@pytest.fixture(scope="module")
def wordpress() -> Iterator[WordPress]:
    with wordpress_alone() as wordpress:
        yield wordpress


def test_an_order_with_several_attempts_ends_alike_in_each_order_of_events(wordpress: WordPress) -> None:
    """A parcel that is sent at once is sent once; an order that was refunded goes out by a person's word alone."""
    told = [
        (number, sent, events)
        for number, story in enumerate(TOLD)
        for _, events in played(story, "story")
        for sent in (False, True)
    ]
    ends = wordpress.play(TELL, told)
    assert len(ends) == len(told)
    for (number, sent, history, end), (_, _, events) in zip(ends, told, strict=True):
        story = (TOLD[number].name, sent, history, end, events)
        paid, decides = TOLD[number].ends == "paid", "refunded" in history and end == "on-hold"
        kept = sent and end == "completed" and TOLD[number].ends == "held"  # the note alone: it left already
        assert end in STATUS[TOLD[number].ends] or (paid and decides) or kept, story
        assert not sent or history.count("processing") <= 1, story
        if "refunded" in history and "processing" in history:
            assert "processing" not in history[history.index("refunded") :], story

"""XEP-0198 without a stream: what its elements say, and counts that begin again at 2³²."""

from collections.abc import Mapping

import pytest

from aldis.core.xmpp.errors.stanza import BadRequest, ItemNotFound
from aldis.core.xmpp.errors.stream import BadFormat
from aldis.core.xmpp.sm import Counters, HandledCountTooHigh, elements
from aldis.core.xmpp.sm.elements import Wish

MOST = 2**32


@pytest.mark.parametrize(
    ("attrs", "wish"),
    [
        ({}, Wish(False, 0)),
        ({"resume": "true"}, Wish(True, 0)),
        ({"resume": "1", "max": "60"}, Wish(True, 60)),
        ({"resume": "0", "max": "60"}, Wish(False, 60)),
    ],
)
def test_enable_says_what_the_client_wants(attrs: Mapping[str, str], wish: Wish) -> None:
    assert elements.wish(attrs) == wish


@pytest.mark.parametrize("attrs", [{"resume": "yes"}, {"resume": ""}, {"max": "soon"}, {"max": "-1"}, {"max": str(MOST)}])
def test_enable_that_makes_no_sense_is_refused(attrs: Mapping[str, str]) -> None:
    with pytest.raises(BadRequest):
        elements.wish(attrs)


@pytest.mark.parametrize("attrs", [{}, {"previd": "x"}, {"h": "1"}, {"previd": "", "h": "1"}, {"previd": "x" * 4001, "h": "1"}])
def test_resume_needs_an_id_and_a_count(attrs: Mapping[str, str]) -> None:
    with pytest.raises(BadRequest):
        elements.resumption(attrs)
    assert elements.resumption({"previd": "x", "h": " 7 "}) == ("x", 7)


@pytest.mark.parametrize("h", ["", "-1", "1.0", "٣", "0x1", str(MOST), "9" * 5000])
def test_a_count_is_an_unsigned_int(h: str) -> None:
    with pytest.raises(BadFormat):
        elements.handled({"h": h})
    with pytest.raises(BadFormat):
        elements.handled({})
    assert elements.handled({"h": str(MOST - 1)}) == MOST - 1


def test_what_is_written() -> None:
    assert elements.enabled("", 0) == b"<enabled xmlns='urn:xmpp:sm:3'/>"
    assert elements.enabled("a<b", 60) == b"<enabled xmlns='urn:xmpp:sm:3' id='a&lt;b' resume='true' max='60'/>"
    assert elements.resumed("a'b", 3) == b"<resumed xmlns='urn:xmpp:sm:3' previd='a&apos;b' h='3'/>"
    missing = b"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    assert elements.failed(ItemNotFound()) == b"<failed xmlns='urn:xmpp:sm:3'>" + missing
    assert elements.failed(ItemNotFound(), 0) == b"<failed xmlns='urn:xmpp:sm:3' h='0'>" + missing


# ── counts ──


def test_both_sides_count_from_where_it_was_enabled() -> None:
    counters = Counters(5, 7)
    assert counters.h(5) == 0
    assert counters.h(8) == 3
    assert counters.acknowledge(0, 9) == 7
    assert counters.acknowledge(2, 9) == 9


def test_a_lower_count_says_nothing_new() -> None:
    counters = Counters(0, 0)
    assert counters.acknowledge(4, 9) == 4
    assert counters.acknowledge(2, 9) == 4
    assert counters.acknowledge(4, 9) == 4


def test_more_than_was_sent_can_not_be_acknowledged() -> None:
    counters = Counters(0, 2)
    with pytest.raises(HandledCountTooHigh) as refusal:
        counters.acknowledge(10, 10)
    assert (refusal.value.h, refusal.value.sent) == (10, 8)
    assert b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>" in refusal.value.to_xml()
    assert counters.acknowledge(8, 10) == 10


def test_counts_begin_again_at_zero() -> None:
    counters = Counters(3, 3)
    assert counters.h(3 + MOST - 1) == MOST - 1
    assert counters.h(3 + MOST) == 0
    counters.acked = 3 + MOST - 2
    assert counters.acknowledge(MOST - 1, 3 + MOST + 5) == 3 + MOST - 1
    assert counters.acknowledge(4, 3 + MOST + 5) == 3 + MOST + 4
    with pytest.raises(HandledCountTooHigh) as refusal:
        counters.acknowledge(6, 3 + MOST + 5)
    assert (refusal.value.h, refusal.value.sent) == (6, 5)

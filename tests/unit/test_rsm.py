"""XEP-0059: pages of a result set."""

import pytest
from lxml import etree

from aldis.core.xmpp.errors.stanza import BadRequest, ItemNotFound
from aldis.core.xmpp.rsm import PageRequest, PageResult, paginate

ITEMS = "abcdefghij"


def request(content: str) -> PageRequest:
    found = PageRequest.child_of(etree.fromstring(f"<query><set xmlns='http://jabber.org/protocol/rsm'>{content}</set></query>"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("<max>10</max>", PageRequest(max=10)),
        ("<max>0</max>", PageRequest(max=0)),
        ("<max> 10\n</max>", PageRequest(max=10)),
        ("<max>10</max><after>peterpan@neverland.lit</after>", PageRequest(max=10, after="peterpan@neverland.lit")),
        ("<max>10</max><before>peter@pixyland.org</before>", PageRequest(max=10, before="peter@pixyland.org")),
        ("<max>10</max><before/>", PageRequest(max=10, before="")),
        ("<max>10</max><index>371</index>", PageRequest(max=10, index=371)),
        ("<after/>", PageRequest()),
        ("", PageRequest()),
    ],
)
def test_a_request_is_read(content: str, read: PageRequest) -> None:
    assert request(content) == read


def test_a_query_without_a_set_asks_for_no_page() -> None:
    assert PageRequest.child_of(etree.fromstring("<query><set/></query>")) is None


@pytest.mark.parametrize(
    "content",
    [
        "<max/>",
        "<max>-1</max>",
        "<max>ten</max>",
        "<max>1.5</max>",
        "<max>\u0661</max>",
        "<max>99999999999</max>",
        "<index>x</index>",
        "<index>1</index><after>a</after>",
        "<index>1</index><before/>",
        f"<after>{'a' * 3072}</after>",
        f"<before>{'a' * 3072}</before>",
    ],
)
def test_a_request_that_means_nothing_is_refused(content: str) -> None:
    with pytest.raises(BadRequest):
        request(content)


def test_the_server_sends_no_more_than_it_will() -> None:
    assert PageRequest().limit(default=50, ceiling=100) == 50
    assert PageRequest(max=7).limit(default=50, ceiling=100) == 7
    assert PageRequest(max=700).limit(default=50, ceiling=100) == 100


@pytest.mark.parametrize(
    ("asked", "page", "result"),
    [
        (PageRequest(max=3), "abc", PageResult("a", "c", 0, 10)),
        (PageRequest(), "abcde", PageResult("a", "e", 0, 10)),
        (PageRequest(max=99), "abcdefgh", PageResult("a", "h", 0, 10)),
        (PageRequest(max=3, after="c"), "def", PageResult("d", "f", 3, 10)),
        (PageRequest(max=3, after="h"), "ij", PageResult("i", "j", 8, 10)),
        (PageRequest(max=3, after="j"), "", PageResult(count=10)),
        (PageRequest(max=3, before="h"), "efg", PageResult("e", "g", 4, 10)),
        (PageRequest(max=3, before="b"), "a", PageResult("a", "a", 0, 10)),
        (PageRequest(max=3, before="a"), "", PageResult(count=10)),
        (PageRequest(max=3, before=""), "hij", PageResult("h", "j", 7, 10)),
        (PageRequest(max=2, after="c", before="h"), "fg", PageResult("f", "g", 5, 10)),
        (PageRequest(max=8, after="c", before="e"), "d", PageResult("d", "d", 3, 10)),
        (PageRequest(max=8, after="e", before="c"), "", PageResult(count=10)),
        (PageRequest(max=3, index=4), "efg", PageResult("e", "g", 4, 10)),
        (PageRequest(max=3, index=9), "j", PageResult("j", "j", 9, 10)),
        (PageRequest(max=3, index=10), "", PageResult(count=10)),
        (PageRequest(max=0), "", PageResult(count=10)),
        (PageRequest(max=0, before=""), "", PageResult(count=10)),
    ],
)
def test_a_page_is_cut_out(asked: PageRequest, page: str, result: PageResult) -> None:
    assert paginate(asked, ITEMS, str, default=5, ceiling=8) == (page, result)


@pytest.mark.parametrize("asked", [PageRequest(after="x"), PageRequest(before="x")])
def test_a_neighbour_that_is_gone_is_not_found(asked: PageRequest) -> None:
    with pytest.raises(ItemNotFound):
        paginate(asked, ITEMS, str, default=5, ceiling=8)


@pytest.mark.parametrize(
    ("result", "content"),
    [
        (
            PageResult("stpeter@jabber.org", "peterpan@neverland.lit", 0, 800),
            "<first index='0'>stpeter@jabber.org</first><last>peterpan@neverland.lit</last><count>800</count>",
        ),
        (PageResult("a", "b"), "<first>a</first><last>b</last>"),
        (PageResult(count=790), "<count>790</count>"),
    ],
)
def test_a_result_is_written(result: PageResult, content: str) -> None:
    wanted = etree.fromstring(f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>")

    assert etree.tostring(result.to_xml(), method="c14n2") == etree.tostring(wanted, method="c14n2")

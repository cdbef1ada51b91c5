"""RFC 7622: properties that hold for any text whatever."""

from hypothesis import example, given
from hypothesis import strategies as st

from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.core.xmpp.jid import Jid

LABELS = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True),
    st.text("\u00fc\u03c2\u03a3\u0130\u05d0\u0628\u0660\u200d\u094d\u0915\uff21-\u30fb", min_size=1, max_size=6),
    st.text(st.characters(), min_size=1, max_size=6),
)
PARTS = st.one_of(
    st.text(st.characters(), max_size=12),
    st.text("aA\u0130\u01c5\u03a3\u03c3\u0301\u0345\uff21\u212a\u1e9e= <@/", max_size=8),
)
TEXTS = st.one_of(
    st.text(st.characters(), max_size=40),
    st.builds(lambda a, b, c: f"{a}@{b}/{c}", PARTS, st.lists(LABELS, max_size=4).map(".".join), PARTS),
    st.builds(lambda a, b: f"{a}@{b}", PARTS, st.lists(LABELS, min_size=1, max_size=3).map(".".join)),
    st.text("xn-abz019.", max_size=20).map("xn--".__add__),
    st.text("0123456789abcdef:.%", max_size=20).map("[{}]".format),
)


def parsed(text: str) -> Jid | None:
    try:
        return Jid.parse(text)
    except JidMalformed:
        return None


@given(TEXTS)
@example("xn--a\x80.b")
@example("xn--99999999999999")
@example("xn--f9d")  # a Cherokee capital
def test_any_text_is_an_address_that_round_trips_or_is_refused(text: str) -> None:
    jid = parsed(text)
    if jid is None:
        return

    again = Jid.parse(str(jid))
    assert (again, hash(again)) == (jid, hash(jid))
    assert (again.local, again.domain, again.resource) == (jid.local, jid.domain, jid.resource)
    assert Jid(jid.local, jid.domain, jid.resource) == jid
    assert all(1 <= len(part.encode()) <= 1023 for part in (jid.local, jid.domain, jid.resource) if part is not None)
    assert jid.local is None or not set(jid.local) & set("\"&'/:<>@ ")
    assert str(jid).isprintable() or jid.resource is not None


@given(st.from_regex(r"[A-Za-z0-9._~!-]{1,20}", fullmatch=True), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_plain_addresses_are_always_addresses(local: str, resource: str) -> None:
    jid = Jid.parse(f"{local}@conference.example.org/{resource}")

    assert (jid.local, jid.domain, jid.resource) == (local.lower(), "conference.example.org", resource)

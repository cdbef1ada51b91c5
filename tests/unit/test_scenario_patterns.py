"""XML compared as XML: what the scenarios' patterns let pass, and what they do not."""

import pytest

from aldis.core.testing.cites import cited, rfc, xep
from aldis.core.testing.patterns import ANY, difference, error, parse, show

MESSAGE = "<message from='romeo@montague.lit/orchard' type='chat' id='1'><body>Art thou not Romeo?</body><active xmlns='urn:x'/></message>"


@pytest.mark.parametrize(
    "pattern",
    [
        MESSAGE,
        (
            "<message id='1'   type='chat' from='romeo@montague.lit/orchard'>\n"
            " <body>Art thou not Romeo?</body>\n <x:active xmlns:x='urn:x'/></message>"
        ),
        f"<message id='{ANY}' type='chat' from='romeo@montague.lit/{ANY}'><body>Art {ANY}?</body><active xmlns='urn:x'/></message>",
        "<message from='{any}' type='chat' id='1'>{any}</message>",
        "<message from='{any}'>...<body>{any}</body></message>",
        "<message from='{any}'>...<active xmlns='urn:x'/></message>",
        "<message>...</message>",
    ],
)
def test_a_pattern_fits_whatever_is_the_same_as_xml(pattern: str) -> None:
    assert difference(parse(pattern), parse(MESSAGE)) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("<iq/>", "<message> where <iq>"),
        ("<message xmlns='jabber:server'/>", "<message> where <message xmlns='jabber:server'>"),
        ("<message type='chat' id='1'>{any}</message>", "has from='romeo@montague.lit/orchard', which was not expected"),
        ("<message type='chat' id='2'>...</message>", "has id='1', not '2'"),
        ("<message to='{any}'>...</message>", "has no to"),
        ("<message from='{any}' type='chat' id='1'><body>{any}</body></message>", "holds <active xmlns='urn:x'/>, which was not expected"),
        ("<message>...<active xmlns='urn:x'/><body>{any}</body></message>", "has no <body>"),
        ("<message>...<subject/></message>", "has no <subject>"),
        ("<message>...<body/></message>", "holds the text 'Art thou not Romeo?', not ''"),
        ("<message>...<active/></message>", "has no <active>"),
    ],
)
def test_a_pattern_says_what_does_not_fit(pattern: str, problem: str) -> None:
    found = difference(parse(pattern), parse(MESSAGE))
    assert found is not None
    assert problem in found


def test_what_goes_without_saying_may_have_one_value_only() -> None:
    assert difference(parse("<iq/>"), parse("<iq to='juliet@capulet.lit/b'/>"), {"to": {"juliet@capulet.lit/b"}}) is None
    assert difference(parse("<iq/>"), parse("<iq to='juliet@capulet.lit/c'/>"), {"to": {"juliet@capulet.lit/b"}}) is not None


def test_an_error_pattern_fits_with_and_without_text() -> None:
    xmlns = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
    bare = parse(f"<error type='cancel'><conflict {xmlns}/></error>")
    told = parse(f"<error type='cancel'><conflict {xmlns}/><text {xmlns} xml:lang='en'>No.</text></error>")
    for found in (bare, told):
        assert difference(parse(error("conflict", "cancel")), found) is None
        assert difference(parse(error("conflict", "modify")), found) is not None
    assert difference(parse(error("conflict", "cancel", text="No.")), told) is None
    assert difference(parse(error("conflict", "cancel", text="No.")), bare) is not None


def test_a_forgotten_brace_of_an_f_string_is_told() -> None:
    with pytest.raises(ValueError, match="the wildcard is ANY"):
        parse(f"<message>{any}</message>")


def test_an_element_is_shown_as_it_would_be_written() -> None:
    assert show(parse(MESSAGE)) == MESSAGE


def test_a_scenario_knows_what_it_cites() -> None:
    @rfc("6120", "4.9.3.3", "11")
    @xep("0199", "4.1")
    def scenario() -> None: ...

    assert cited(scenario) == ("RFC 6120 §4.9.3.3", "RFC 6120 §11", "XEP-0199 §4.1")
    with pytest.raises(ValueError, match="four digits"):
        rfc("612", "4")
    with pytest.raises(ValueError, match="sections"):
        xep("0199", "4.")

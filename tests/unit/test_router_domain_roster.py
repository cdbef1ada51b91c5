"""RFC 6121 §2: what a roster takes, refuses, shows and remembers."""

import pytest
from lxml import etree

from aldis.core.xmpp.errors.stanza import (
    BadRequest,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    PolicyViolation,
    ResourceConstraint,
    StanzaError,
)
from aldis.router.domain.roster import Item, Limits, Roster, RosterSet, Step, push, removal
from aldis.router.domain.subscription import Action, State

JULIET, ROMEO, NURSE = "juliet@capulet.lit", "romeo@montague.lit", "nurse@capulet.lit"
REQUEST = b"<presence type='subscribe'><status>It is I</status></presence>"
SMALL = Limits(items=2, groups=2, name=5, requests=2, request_bytes=len(REQUEST))


def query(inner: str) -> etree._Element:
    return etree.fromstring(f"<query xmlns='jabber:iq:roster'>{inner}</query>")


def wanted(inner: str, limits: Limits = SMALL) -> RosterSet:
    return RosterSet.from_xml(query(inner), JULIET, limits)


def applied(roster: Roster, step: Step) -> Roster:
    roster.apply(step, roster.version + 1)
    return roster


def test_a_set_is_read_with_its_address_in_normal_form() -> None:
    attributes = "jid='Romeo@MONTAGUE.lit' name='Romeo' subscription='both' ask='subscribe' approved='true'"

    assert wanted(f"<item {attributes}><group>A</group><group>B</group></item>") == RosterSet(ROMEO, "Romeo", ("A", "B"))


def test_a_set_may_remove() -> None:
    assert wanted(f"<item jid='{ROMEO}' subscription='remove'><group/></item>") == RosterSet(ROMEO, remove=True)


@pytest.mark.parametrize(
    ("inner", "refusal"),
    [
        ("", BadRequest),
        (f"<item jid='{ROMEO}'/><item jid='{NURSE}'/>", BadRequest),
        (f"<item xmlns='urn:other' jid='{ROMEO}'/>", BadRequest),
        ("<item name='Romeo'/>", BadRequest),
        (f"<item jid='{ROMEO}'><group>A</group><group>A</group></item>", BadRequest),
        ("<item jid=''/>", JidMalformed),
        ("<item jid='@montague.lit'/>", JidMalformed),
        (f"<item jid='{ROMEO}/orchard'/>", JidMalformed),
        (f"<item jid='{JULIET.upper()}'/>", NotAllowed),
        (f"<item jid='{ROMEO}'><group/></item>", NotAcceptable),
        (f"<item jid='{ROMEO}' name='sixsix'/>", NotAcceptable),
        (f"<item jid='{ROMEO}'><group>sixsix</group></item>", NotAcceptable),
        (f"<item jid='{ROMEO}'><group>A</group><group>B</group><group>C</group></item>", NotAcceptable),
    ],
)
def test_a_set_is_refused_with_the_condition_that_the_rfc_names(inner: str, refusal: type[StanzaError]) -> None:
    with pytest.raises(refusal):
        wanted(inner)


def test_a_limit_of_zero_is_none() -> None:
    groups = "".join(f"<group>{n}</group>" for n in range(200))

    read = wanted(f"<item jid='{ROMEO}' name='{'x' * 5000}'>{groups}</item>", Limits(0, 0, 0, 0, 0))

    assert len(read.name) == 5000
    assert len(read.groups) == 200


def test_an_item_shows_what_there_is_to_show() -> None:
    assert Item(ROMEO).to_xml() == b"<item jid='romeo@montague.lit' subscription='none'/>"
    assert Item(ROMEO, "Romeo", ("Friends", "Other"), State.FROM_OUT).to_xml() == (
        b"<item jid='romeo@montague.lit' name='Romeo' subscription='from' ask='subscribe'><group>Friends</group><group>Other</group></item>"
    )
    assert Item(ROMEO, state=State.TO_APPROVED).to_xml() == b"<item jid='romeo@montague.lit' subscription='to' approved='true'/>"


def test_markup_and_white_space_in_names_come_back_as_they_went_in() -> None:
    item = Item("a'b&c.example", "<&>'\"\t\n\r ", ("<&>'\"\t\n\r ", "x"))

    read = etree.fromstring(push(item))[0]

    assert (read.get("jid"), read.get("name")) == (item.jid, item.name)
    assert tuple(group.text for group in read) == item.groups


def test_a_query_carries_a_version_only_if_given_one() -> None:
    roster = Roster([Item(ROMEO)])

    assert roster.to_xml() == b"<query xmlns='jabber:iq:roster'><item jid='romeo@montague.lit' subscription='none'/></query>"
    assert roster.to_xml("") == b"<query xmlns='jabber:iq:roster' ver=''><item jid='romeo@montague.lit' subscription='none'/></query>"
    assert push(Item(ROMEO), "v'1") == (
        b"<query xmlns='jabber:iq:roster' ver='v&apos;1'><item jid='romeo@montague.lit' subscription='none'/></query>"
    )
    assert removal(ROMEO, "2") == (
        b"<query xmlns='jabber:iq:roster' ver='2'><item jid='romeo@montague.lit' subscription='remove'/></query>"
    )


def test_deciding_changes_nothing_until_it_is_applied() -> None:
    roster = Roster()

    step = roster.put(RosterSet(ROMEO, "Romeo"), SMALL)
    assert (len(roster), roster.version) == (0, 0)

    roster.apply(step, 7)
    assert (roster.get(ROMEO), roster.version) == (Item(ROMEO, "Romeo"), 7)


def test_a_set_leaves_the_subscription_alone() -> None:
    roster = Roster([Item(ROMEO, "R", ("A",), State.BOTH)])

    step = roster.put(RosterSet(ROMEO, "Romeo"), SMALL)

    assert step.after == Item(ROMEO, "Romeo", (), State.BOTH)
    assert (step.push, step.save, step.change) == (True, True, None)


def test_a_set_that_changes_nothing_is_pushed_and_not_stored() -> None:
    step = Roster([Item(ROMEO, "Romeo")]).put(RosterSet(ROMEO, "Romeo"), SMALL)

    assert (step.push, step.save) == (True, False)


def test_a_strangers_request_is_remembered_and_shown_to_nobody() -> None:
    roster = Roster()

    step = roster.received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL)
    assert step.change is not None
    assert (step.change.forward, step.push, step.save) == (True, False, True)

    applied(roster, step)
    assert roster.requests() == [REQUEST]
    assert roster.listed() == []
    assert roster.to_xml() == b"<query xmlns='jabber:iq:roster'></query>"


def test_a_request_does_not_hide_a_contact_who_was_listed_before() -> None:
    roster = Roster([Item(ROMEO, "Romeo")])

    applied(roster, roster.received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    assert [item.name for item in roster.listed()] == ["Romeo"]
    assert roster.state(ROMEO) is State.NONE_IN


def test_a_repeated_request_keeps_the_first_one() -> None:
    roster = applied(Roster(), Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    step = roster.received(ROMEO, Action.SUBSCRIBE, b"again", SMALL)

    assert step.change is not None
    assert (step.change.forward, step.save) == (False, False)
    assert roster.requests() == [REQUEST]


def test_approval_lists_the_contact() -> None:
    roster = applied(Roster(), Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    step = roster.sent(ROMEO, Action.SUBSCRIBED, SMALL)

    assert (step.after, step.push) == (Item(ROMEO, state=State.FROM), True)
    assert applied(roster, step).subscribers() == [ROMEO]
    assert roster.requests() == []


def test_a_denied_request_leaves_nothing_behind() -> None:
    roster = applied(Roster(), Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    step = roster.sent(ROMEO, Action.UNSUBSCRIBED, SMALL)
    assert step.change is not None
    assert (step.after, step.push, step.save, step.change.forward) == (None, False, True, True)

    assert len(applied(roster, step)) == 0


def test_a_request_outlives_the_listing_of_its_sender() -> None:
    roster = applied(Roster(), Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    applied(roster, roster.put(RosterSet(ROMEO, "Romeo"), SMALL))

    assert roster.get(ROMEO) == Item(ROMEO, "Romeo", (), State.NONE_IN, REQUEST)


def test_asking_lists_the_contact_and_an_end_keeps_the_item() -> None:
    roster = Roster()

    applied(roster, roster.sent(ROMEO, Action.SUBSCRIBE, SMALL))
    assert roster.get(ROMEO) == Item(ROMEO, state=State.NONE_OUT)

    applied(roster, roster.received(ROMEO, Action.SUBSCRIBED, b"", SMALL))
    assert roster.subscriptions() == [ROMEO]

    applied(roster, roster.sent(ROMEO, Action.UNSUBSCRIBE, SMALL))
    assert roster.listed() == [Item(ROMEO)]


def test_a_pre_approval_lists_the_contact_and_is_used_up() -> None:
    roster = Roster()

    step = roster.sent(ROMEO, Action.SUBSCRIBED, SMALL)
    assert step.change is not None
    assert (step.change.forward, step.push) == (False, True)
    applied(roster, step)

    step = roster.received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL)
    assert step.change is not None
    assert (step.change.forward, step.change.reply, step.push) == (False, Action.SUBSCRIBED, True)
    assert step.after == Item(ROMEO, state=State.FROM)


@pytest.mark.parametrize("action", [Action.UNSUBSCRIBE, Action.SUBSCRIBED, Action.UNSUBSCRIBED])
def test_what_a_stranger_sends_without_being_asked_is_ignored(action: Action) -> None:
    step = Roster().received(ROMEO, action, b"", SMALL)

    assert step.change is not None
    assert (step.after, step.change.forward, step.push, step.save) == (None, False, False, False)


def test_removal_tells_the_contact_and_takes_the_request_along() -> None:
    roster = Roster([Item(ROMEO, state=State.BOTH), Item(NURSE, state=State.NONE_OUT_IN, pending_in=REQUEST)])

    step = roster.remove(ROMEO)
    assert step.farewell == (Action.UNSUBSCRIBE, Action.UNSUBSCRIBED)
    assert step.change is not None
    assert (step.change.withdraw, step.push, step.save) == (True, True, True)
    applied(roster, step)

    assert applied(roster, roster.remove(NURSE)).requests() == []
    assert len(roster) == 0


def test_only_what_is_listed_can_be_removed() -> None:
    roster = applied(Roster(), Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL))

    for contact in (ROMEO, NURSE):
        with pytest.raises(ItemNotFound):
            roster.remove(contact)


def test_a_full_roster_takes_no_more_and_still_lets_its_items_change() -> None:
    roster = Roster([Item("a.lit"), Item("b.lit")])

    with pytest.raises(ResourceConstraint):
        roster.put(RosterSet(ROMEO), SMALL)
    with pytest.raises(ResourceConstraint):
        roster.sent(ROMEO, Action.SUBSCRIBE, SMALL)
    assert roster.put(RosterSet("a.lit", "A"), SMALL).save
    assert roster.sent("a.lit", Action.SUBSCRIBE, SMALL).save
    assert roster.received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL).save


def test_strangers_fill_no_more_than_their_share() -> None:
    roster = Roster()
    for name in ("a.lit", "b.lit"):
        applied(roster, roster.received(name, Action.SUBSCRIBE, REQUEST, SMALL))

    with pytest.raises(ResourceConstraint):
        roster.received(ROMEO, Action.SUBSCRIBE, REQUEST, SMALL)
    with pytest.raises(PolicyViolation):
        Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST + b" ", SMALL)
    assert roster.received("a.lit", Action.SUBSCRIBE, REQUEST, SMALL).save is False


def test_a_roster_has_a_limit_in_octets_and_can_shrink_under_it() -> None:
    roster = Roster([Item("nurse@capulet.lit", groups=("x" * 50, "y" * 50)), Item("tybalt@capulet.lit", name="é" * 10)])
    tight = Limits(bytes=100)
    with pytest.raises(ResourceConstraint):
        roster.put(RosterSet("romeo@montague.lit"), tight)
    with pytest.raises(ResourceConstraint):
        roster.put(RosterSet("tybalt@capulet.lit", name="é" * 11), tight)
    assert roster.put(RosterSet("nurse@capulet.lit", groups=("x" * 50,)), tight).save
    assert roster.put(RosterSet("romeo@montague.lit"), Limits(bytes=0)).save

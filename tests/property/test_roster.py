"""RFC 6121 §2, §3: what holds of rosters whatever is sent, in whatever order."""

from collections import deque

from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from aldis.core.xmpp.errors import StanzaError
from aldis.core.xmpp.namespaces import ROSTER
from aldis.router.domain.roster import Item, Limits, Roster, RosterSet, Step, push
from aldis.router.domain.subscription import Action, State

LIMITS = Limits()
JULIET, ROMEO = "juliet@capulet.lit", "romeo@montague.lit"
REQUESTS = (Action.SUBSCRIBE, Action.UNSUBSCRIBE)
GRANTS = (Action.SUBSCRIBED, Action.UNSUBSCRIBED)

# --- two rosters and the link between them


class Side:
    """One user, with what their server makes of what they send and get."""

    def __init__(self, jid: str) -> None:
        self.jid = jid
        self.roster = Roster()
        self.inbox: deque[str] = deque()
        self.knows = False
        """The user has the contact's presence."""
        self.said: dict[bool, Action | None] = {True: None, False: None}
        """The user's last word on the contact's subscription (True) and on their own (False)."""

    def join(self, peer: "Side") -> None:
        self.peer = peer

    @property
    def state(self) -> State:
        return self.roster.state(self.peer.jid)

    def sends(self, action: Action) -> None:
        self.said[action in GRANTS] = action
        step = self.roster.sent(self.peer.jid, action, LIMITS)
        self._settle(step, [action] if step.change and step.change.forward else [])

    def removes(self) -> None:
        item = self.roster.get(self.peer.jid)
        if item is None or not item.listed:
            return
        self.said = {True: Action.UNSUBSCRIBED, False: Action.UNSUBSCRIBE}
        step = self.roster.remove(self.peer.jid)
        self._settle(step, list(step.farewell))

    def takes(self) -> None:
        if not self.inbox:
            return
        stanza = self.inbox.popleft()
        if stanza in {"available", "unavailable"}:
            self.knows = stanza == "available" and self.state.sees
            return
        step = self.roster.received(self.peer.jid, Action(stanza), b"<presence/>", LIMITS)
        assert step.change is not None
        self._settle(step, [step.change.reply] if step.change.reply else [])

    def _settle(self, step: Step, stanzas: list[Action]) -> None:
        assert step.change is not None
        self.roster.apply(step, self.roster.version + 1)
        self.peer.inbox.extend(stanzas)
        if step.change.announce or step.change.withdraw:
            self.peer.inbox.append("available" if step.change.announce else "unavailable")
        self.knows = self.knows and self.state.sees

    def in_flight(self, grants: bool) -> bool:
        """Whether a stanza about the contact's subscription to this user (`grants`) or about this user's own is on its way."""
        going, coming = (GRANTS, REQUESTS) if grants else (REQUESTS, GRANTS)
        return any(stanza in going for stanza in self.peer.inbox) or any(stanza in coming for stanza in self.inbox)


def two() -> tuple[Side, Side]:
    juliet, romeo = Side(JULIET), Side(ROMEO)
    juliet.join(romeo)
    romeo.join(juliet)
    return juliet, romeo


def drain(*sides: Side) -> None:
    """Deliver all that is on its way; an exchange that feeds itself fails here."""
    for _ in range(1000):
        if not any(side.inbox for side in sides):
            return
        for side in sides:
            side.takes()
    raise AssertionError("the two servers go on for ever")


def agree(side: Side) -> None:
    """The side's subscription is what the peer believes it to be, and its presence is here."""
    assert side.state.sees == side.peer.state.seen
    assert side.state.ask == side.peer.state.pending_in
    assert side.knows == side.state.sees


ACTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([*Action, *Action, "remove", "take", "take", "take", "drain"])), min_size=15, max_size=60
)


@given(ACTS)
def test_two_who_let_each_answer_arrive_agree_in_the_end(acts: list[tuple[bool, str]]) -> None:
    """The two subscriptions of a pair run side by side in any order; of each, one side speaks at a time."""
    sides = juliet, romeo = two()
    for first, act in acts:
        side = sides[not first]
        if act == "drain":
            drain(*sides)
            agree(juliet)
            agree(romeo)
        elif act == "take":
            side.takes()
        elif act == "remove":
            if not side.in_flight(grants=True) and not side.in_flight(grants=False):
                side.removes()
        elif not side.in_flight(grants=act in GRANTS):
            side.sends(Action(act))

    drain(*sides)
    agree(juliet)
    agree(romeo)


def run(sides: tuple[Side, Side], acts: list[tuple[bool, str]]) -> None:
    for first, act in acts:
        side = sides[not first]
        if act == "drain":
            drain(*sides)
        elif act == "take":
            side.takes()
        elif act == "remove":
            side.removes()
        else:
            side.sends(Action(act))


@given(ACTS)
@example(
    [
        (True, "subscribe"),
        (False, "take"),
        (False, "unsubscribed"),
        (True, "subscribe"),  # crosses the denial, so that Romeo grants what Juliet no longer asks for
        (False, "take"),
        (True, "take"),
        (False, "subscribed"),
    ]
)
def test_what_has_crossed_is_put_right_by_asking_again_or_giving_up(acts: list[tuple[bool, str]]) -> None:
    """RFC 6121 lets a request and a denial that cross leave the two of different minds: the next word mends it."""
    for mend in (Action.SUBSCRIBE, Action.UNSUBSCRIBE):
        sides = juliet, romeo = two()
        run(sides, acts)
        drain(*sides)

        juliet.sends(mend)
        drain(*sides)
        if mend is Action.SUBSCRIBE:
            romeo.sends(Action.SUBSCRIBED)
            drain(*sides)

        agree(juliet)
        assert juliet.state.sees == (mend is Action.SUBSCRIBE)


@given(ACTS)
def test_nobody_is_seen_or_sees_without_having_said_so(acts: list[tuple[bool, str]]) -> None:
    """The last word of the user holds at any moment, whatever the other side sends."""
    sides = two()
    for act in acts:
        run(sides, [act])
        for side in sides:
            if side.state.seen or side.state.approved:
                assert side.said[True] is Action.SUBSCRIBED
            if side.state.sees or side.state.ask:
                assert side.said[False] is Action.SUBSCRIBE


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(Action)), max_size=30))
def test_a_request_is_kept_just_while_it_pends_and_shows_what_the_user_listed(acts: list[tuple[bool, Action]]) -> None:
    roster = Roster()
    for own, action in acts:
        step = roster.sent(ROMEO, action, LIMITS) if own else roster.received(ROMEO, action, b"<presence/>", LIMITS)
        shown = roster.to_xml()
        roster.apply(step, roster.version + 1)

        item = roster.get(ROMEO)
        assert (item is not None and item.pending_in is not None) == roster.state(ROMEO).pending_in
        assert (roster.to_xml() != shown) == step.push
        assert item is None or item.listed or item.state is State.NONE_IN
        assert item == step.after


# --- what clients send

XML_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r"), max_size=12
)
JIDS = st.one_of(XML_TEXT, st.sampled_from([JULIET, ROMEO, "Romeo@Montague.lit", f"{ROMEO}/orchard", "", "@", "montague.lit"]))
TAGS = st.sampled_from([f"{{{ROSTER}}}query", f"{{{ROSTER}}}item", f"{{{ROSTER}}}group", "{urn:other}item", "item"])


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> etree._Element:
    if depth < 2 and draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([etree.Comment("x"), etree.ProcessingInstruction("x", "y")]))
    likely = f"{{{ROSTER}}}{('group', 'item', 'query')[depth]}"
    element = etree.Element(draw(st.one_of(st.just(likely), TAGS)) if depth < 2 else likely)
    for name, values in {"jid": JIDS, "name": XML_TEXT, "subscription": st.sampled_from(["remove", "both", ""])}.items():
        if draw(st.integers(0, 2)):
            element.set(name, draw(values))
    element.text = draw(XML_TEXT)
    if depth:
        for child in draw(st.lists(elements(depth - 1), max_size=3)):
            element.append(child)
    return element


@given(elements())
def test_whatever_a_client_sends_is_read_or_refused(query: etree._Element) -> None:
    try:
        read = RosterSet.from_xml(query, JULIET, LIMITS)
    except StanzaError:
        return

    assert read.jid != JULIET
    assert "/" not in read.jid
    assert "" not in read.groups
    assert len(set(read.groups)) == len(read.groups)


@given(
    name=XML_TEXT,
    groups=st.lists(XML_TEXT.filter(bool), unique=True, max_size=5).map(tuple),
    state=st.sampled_from(State),
)
def test_an_item_that_is_pushed_is_read_as_it_was(name: str, groups: tuple[str, ...], state: State) -> None:
    query = etree.fromstring(push(Item(ROMEO, name, groups, state), ver="<'&\">"))

    assert RosterSet.from_xml(query, JULIET, LIMITS) == RosterSet(ROMEO, name, groups)
    assert query.get("ver") == "<'&\">"
    assert query[0].get("subscription") == state.subscription

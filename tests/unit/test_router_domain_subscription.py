"""RFC 6121 Appendix A, cell by cell: what a table of the RFC says stands here once more, written independently of the code."""

import pytest

from aldis.router.domain.subscription import INBOUND, OUTBOUND, Action, State, farewell, inbound, outbound, state_of

# Each row: the state before, then for subscribe, unsubscribe, subscribed, unsubscribed the state after it; `=` is no change.
# What follows the state: ! forwarded, + pushed, S answered `subscribed`, A presence begins, W presence ends.
OUT = """
    NONE               NONE_OUT!+            =!                  NONE_APPROVED+      =
    NONE_OUT           =!                    NONE!+              NONE_OUT_APPROVED+  =
    NONE_IN            NONE_OUT_IN!+         =!                  FROM!+A             NONE!
    NONE_OUT_IN        =!                    NONE_IN!+           FROM_OUT!+A         NONE_OUT!
    TO                 =!                    NONE!+              TO_APPROVED+        =
    TO_IN              =!                    NONE_IN!+           BOTH!+A             TO!
    FROM               FROM_OUT!+            =!                  =                   NONE!+W
    FROM_OUT           =!                    FROM!+              =                   NONE_OUT!+W
    BOTH               =!                    FROM!+              =                   TO!+W
    NONE_APPROVED      NONE_OUT_APPROVED!+   =!                  =                   NONE+
    NONE_OUT_APPROVED  =!                    NONE_APPROVED!+     =                   NONE_OUT+
    TO_APPROVED        =!                    NONE_APPROVED!+     =                   TO+
"""
IN = """
    NONE               NONE_IN!              =                   =                   =
    NONE_OUT           NONE_OUT_IN!          =                   TO!+                NONE!+
    NONE_IN            =                     NONE!               =                   =
    NONE_OUT_IN        =                     NONE_OUT!           TO_IN!+             NONE_IN!+
    TO                 TO_IN!                =                   =                   NONE!+
    TO_IN              =                     TO!                 =                   NONE_IN!+
    FROM               =SA                   NONE!+W             =                   =
    FROM_OUT           =SA                   NONE_OUT!+W         BOTH!+              FROM!+
    BOTH               =SA                   TO!+W               =                   FROM!+
    NONE_APPROVED      FROM+SA               =                   =                   =
    NONE_OUT_APPROVED  FROM_OUT+SA           =                   TO_APPROVED!+       NONE_APPROVED!+
    TO_APPROVED        BOTH+SA               =                   =                   NONE_APPROVED!+
"""
ACTIONS = (Action.SUBSCRIBE, Action.UNSUBSCRIBE, Action.SUBSCRIBED, Action.UNSUBSCRIBED)


def cells(table: str) -> list[tuple[State, Action, State, str]]:
    """Take a table apart into (before, action, after, marks)."""
    found = []
    for row in table.split("\n")[1:-1]:
        before, *after = row.split()
        for action, cell in zip(ACTIONS, after, strict=True):
            name = cell.rstrip("!+SAW") if not cell.startswith("=") else before
            marks = cell.removeprefix("=").removeprefix(name)
            found.append((State[before], action, State[name], marks))
    return found


def test_the_tables_are_whole() -> None:
    for table in (OUTBOUND, INBOUND):
        assert set(table) == set(Action)
        assert all(set(column) == set(State) for column in table.values())
    assert len(cells(OUT)) == len(cells(IN)) == len(State) * len(Action) == 48


@pytest.mark.parametrize(("before", "action", "after", "marks"), cells(OUT))
def test_what_the_user_sends(before: State, action: Action, after: State, marks: str) -> None:
    change = outbound(before, action)

    assert change.state is after
    assert (change.forward, change.push, change.reply) == ("!" in marks, "+" in marks, None)
    assert (change.announce, change.withdraw) == ("A" in marks, "W" in marks)


@pytest.mark.parametrize(("before", "action", "after", "marks"), cells(IN))
def test_what_a_contact_sends(before: State, action: Action, after: State, marks: str) -> None:
    change = inbound(before, action)

    assert change.state is after
    assert (change.forward, change.push) == ("!" in marks, "+" in marks)
    assert change.reply is (Action.SUBSCRIBED if "S" in marks else None)
    assert (change.announce, change.withdraw) == ("A" in marks, "W" in marks)


UNSUBSCRIBE, UNSUBSCRIBED = Action.UNSUBSCRIBE, Action.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("state", "sent"),
    [
        (State.NONE, ()),
        (State.NONE_OUT, (UNSUBSCRIBE,)),
        (State.NONE_IN, (UNSUBSCRIBED,)),
        (State.NONE_OUT_IN, (UNSUBSCRIBE, UNSUBSCRIBED)),
        (State.TO, (UNSUBSCRIBE,)),
        (State.TO_IN, (UNSUBSCRIBE, UNSUBSCRIBED)),
        (State.FROM, (UNSUBSCRIBED,)),
        (State.FROM_OUT, (UNSUBSCRIBE, UNSUBSCRIBED)),
        (State.BOTH, (UNSUBSCRIBE, UNSUBSCRIBED)),
        (State.NONE_APPROVED, ()),
        (State.NONE_OUT_APPROVED, (UNSUBSCRIBE,)),
        (State.TO_APPROVED, (UNSUBSCRIBE,)),
    ],
)
def test_removal_ends_what_there_is(state: State, sent: tuple[Action, ...]) -> None:
    assert farewell(state) == sent
    for action in sent:
        state = outbound(state, action).state
    assert (state.subscription, state.ask, state.pending_in) == ("none", False, False)


def test_each_state_is_told_apart_by_what_is_stored_of_it() -> None:
    for state in State:
        assert state_of(state.subscription, ask=state.ask, pending_in=state.pending_in, approved=state.approved) is state


def test_parts_that_make_no_state_are_told() -> None:
    with pytest.raises(ValueError, match="no state is 'from'"):
        state_of("from", ask=False, pending_in=True, approved=False)

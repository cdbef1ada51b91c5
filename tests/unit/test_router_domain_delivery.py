"""RFC 6121 §8.5.4, the whole table: what an address is to an account, against what is sent to it."""

import pytest

from aldis.core.contracts.envelope import Kind
from aldis.router.domain.delivery import Outcome, chosen, decide

# Who is there: (to a full JID?, does it match?, priorities of the available sessions or None for no account).
WHO: dict[str, tuple[bool, bool, tuple[int, ...] | None]] = {
    "no account, bare": (False, False, None),
    "no account, full": (True, False, None),
    "nobody, bare": (False, False, ()),
    "nobody, full gone": (True, False, ()),
    "nobody available, full match": (True, True, ()),
    "negative, bare": (False, False, (-1, -2)),
    "negative, full gone": (True, False, (-1,)),
    "negative, full match": (True, True, (-1,)),
    "one, bare": (False, False, (0,)),
    "one, full gone": (True, False, (0,)),
    "one, full match": (True, True, (0,)),
    "several, bare": (False, False, (-1, 5, 0, 5)),
    "several, full gone": (True, False, (-1, 5, 0, 5)),
    "several, full match": (True, True, (-1, 5, 0, 5)),
}
NAMES = {
    "S": Outcome.SESSION,
    "H": Outcome.HIGHEST,
    "N": Outcome.NON_NEGATIVE,
    "A": Outcome.AVAILABLE,
    "@": Outcome.ACCOUNT,
    "O": Outcome.OFFLINE,
    "B": Outcome.BOUNCE,
    "U": Outcome.UNSUBSCRIBED,
    "-": Outcome.DROP,
}
# message: normal chat groupchat headline error · presence: available error probe subscription · iq: request response
TABLE = """
    no account, bare             | B B B - - | - - U - | B -
    no account, full             | B B B - - | - - U - | B -
    nobody, bare                 | O O B - - | - - @ @ | @ @
    nobody, full gone            | B O B - - | - - @ @ | B -
    nobody available, full match | S S S S S | S S @ @ | S S
    negative, bare               | O O B - - | A A @ @ | @ @
    negative, full gone          | B O B - - | - - @ @ | B -
    negative, full match         | S S S S S | S S @ @ | S S
    one, bare                    | H H B N - | A A @ @ | @ @
    one, full gone               | B H B - - | - - @ @ | B -
    one, full match              | S S S S S | S S @ @ | S S
    several, bare                | H H B N - | A A @ @ | @ @
    several, full gone           | B H B - - | - - @ @ | B -
    several, full match          | S S S S S | S S @ @ | S S
"""
COLUMNS: list[tuple[Kind, tuple[str, ...]]] = [
    (Kind.MESSAGE, ("", "normal", "unheard-of")),
    (Kind.MESSAGE, ("chat",)),
    (Kind.MESSAGE, ("groupchat",)),
    (Kind.MESSAGE, ("headline",)),
    (Kind.MESSAGE, ("error",)),
    (Kind.PRESENCE, ("", "unavailable")),
    (Kind.PRESENCE, ("error",)),
    (Kind.PRESENCE, ("probe",)),
    (Kind.PRESENCE, ("subscribe", "subscribed", "unsubscribe", "unsubscribed")),
    (Kind.IQ, ("get", "set")),
    (Kind.IQ, ("result", "error")),
]
ROWS = {who.strip(): cells.replace("|", " ").split() for who, cells in (row.split("|", 1) for row in TABLE.strip().split("\n"))}


def test_the_table_is_whole() -> None:
    assert set(ROWS) == set(WHO)
    assert all(len(cells) == len(COLUMNS) for cells in ROWS.values())


@pytest.mark.parametrize(
    ("who", "kind", "type_", "outcome"),
    [
        (who, kind, type_, NAMES[cell])
        for who, cells in ROWS.items()
        for (kind, types), cell in zip(COLUMNS, cells, strict=True)
        for type_ in types
    ],
)
def test_every_cell(who: str, kind: Kind, type_: str, outcome: Outcome) -> None:
    assert decide(kind, type_, *WHO[who]) is outcome


def test_several_are_chosen_by_priority() -> None:
    priorities = (-1, 5, 0, 5)

    assert chosen(Outcome.HIGHEST, priorities) == [1, 3]
    assert chosen(Outcome.NON_NEGATIVE, priorities) == [1, 2, 3]
    assert chosen(Outcome.AVAILABLE, priorities) == [0, 1, 2, 3]
    assert chosen(Outcome.BOUNCE, priorities) == []

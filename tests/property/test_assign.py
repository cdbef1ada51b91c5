"""The assignment of shards to processes: complete, balanced, and nothing moves that need not."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aldis.core.shards.assign import assign

MEMBERS = [f"r{n}" for n in range(7)]
members = st.sets(st.sampled_from(MEMBERS), min_size=1)
shard_counts = st.integers(1, 40)


@st.composite
def held_by_anybody(draw: st.DrawFn) -> tuple[int, dict[int, str]]:
    shards = draw(shard_counts)
    return shards, draw(st.dictionaries(st.integers(0, shards - 1), st.sampled_from([*MEMBERS, "stranger"])))


def balanced(shards: int, live: set[str], owners: dict[int, str]) -> bool:
    sizes = Counter(owners.values())
    return (
        owners.keys() == set(range(shards))
        and set(owners.values()) <= live
        and max(sizes[m] for m in live) - min(sizes[m] for m in live) <= 1
    )


def fewest_moves(shards: int, live: set[str], held: dict[int, str]) -> int:
    """How many shards must change hands at least: what nobody live holds, and what each holds above its share."""
    sizes = sorted((Counter(owner for owner in held.values() if owner in live)[m] for m in live), reverse=True)
    least, more = divmod(shards, len(live))
    kept = sum(min(size, least + (place < more)) for place, size in enumerate(sizes))
    return shards - kept


@given(held_by_anybody(), members)
def test_every_shard_has_one_live_owner_and_shares_differ_by_one(given_: tuple[int, dict[int, str]], live: set[str]) -> None:
    shards, held = given_
    assert balanced(shards, live, assign(shards, live, held))


@given(held_by_anybody(), members)
def test_no_more_moves_than_must(given_: tuple[int, dict[int, str]], live: set[str]) -> None:
    shards, held = given_
    owners = assign(shards, live, held)
    assert sum(held.get(shard) != owner for shard, owner in owners.items()) == fewest_moves(shards, live, held)


@given(held_by_anybody(), members)
def test_done_again_nothing_moves(given_: tuple[int, dict[int, str]], live: set[str]) -> None:
    shards, held = given_
    owners = assign(shards, live, held)
    assert assign(shards, live, owners) == owners


@given(held_by_anybody(), members)
def test_the_order_in_which_members_are_named_does_not_matter(given_: tuple[int, dict[int, str]], live: set[str]) -> None:
    shards, held = given_
    assert assign(shards, sorted(live), held) == assign(shards, sorted(live, reverse=True), dict(reversed(held.items())))


@given(shard_counts, members, st.sampled_from(MEMBERS))
def test_a_process_that_joins_takes_only_its_own_share(shards: int, live: set[str], joins: str) -> None:
    before = assign(shards, live, {})
    after = assign(shards, live | {joins}, before)
    assert all(after[shard] in (owner, joins) for shard, owner in before.items())
    if joins in live:
        assert after == before


@given(shard_counts, members, st.sampled_from(MEMBERS))
def test_a_process_that_leaves_moves_only_what_it_had(shards: int, live: set[str], leaves: str) -> None:
    before = assign(shards, live | {leaves}, {})
    rest = live - {leaves}
    after = assign(shards, rest, before)
    if rest:
        assert all(after[shard] == owner for shard, owner in before.items() if owner != leaves)
    else:
        assert after == {}


@given(held_by_anybody(), members, st.data())
def test_it_comes_to_rest_though_shards_are_handed_over_one_by_one(
    given_: tuple[int, dict[int, str]], live: set[str], data: st.DataObject
) -> None:
    """Each process acts on what it sees at some moment between others' steps; no shard moves twice."""
    shards, held = given_
    held = {shard: owner for shard, owner in held.items() if owner in live}
    must = fewest_moves(shards, live, held)
    moves = 0
    while True:
        owners = assign(shards, live, held)
        open_ = sorted(shard for shard in range(shards) if held.get(shard) != owners[shard])
        if not open_:
            break
        shard = data.draw(st.sampled_from(open_))
        held[shard] = owners[shard]
        moves += 1
        assert moves <= must
    assert balanced(shards, live, held)

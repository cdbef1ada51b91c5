"""Token buckets: a burst, then a steady rate, for many keys in a bounded table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aldis.directory.domain.throttle import Throttle, network


def test_a_burst_is_let_through_and_then_one_at_a_time() -> None:
    throttle = Throttle(3, 60)
    for _ in range(3):
        assert throttle.allows("a", 0)
        throttle.spend("a", 0)
    assert not throttle.allows("a", 19.9)
    assert throttle.allows("a", 20)
    assert throttle.allows("b", 0)


def test_what_ran_at_the_same_time_is_paid_for_later() -> None:
    throttle = Throttle(3, 60)
    for _ in range(6):  # all of them were allowed before the first had failed
        throttle.spend("a", 0)
    assert not throttle.allows("a", 79)
    assert throttle.allows("a", 80)


def test_a_debt_is_bounded() -> None:
    throttle = Throttle(3, 60)
    for _ in range(10_000):
        throttle.spend("a", 0)
    assert throttle.allows("a", 11 * 60 + 20)


def test_nought_is_unlimited_and_keeps_nothing() -> None:
    throttle = Throttle(0, 60)
    throttle.spend("a", 0)
    assert throttle.allows("a", 0)
    assert len(throttle) == 0


def test_a_full_table_forgets_who_was_quiet_longest() -> None:
    throttle = Throttle(1, 60, most=2)
    for key in ("a", "b", "a", "c"):
        throttle.spend(key, 0)
    assert len(throttle) == 2
    assert [throttle.allows(key, 0) for key in "abc"] == [False, True, False]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=60), st.integers(1, 5))
def test_nobody_gets_more_than_burst_and_rate_allow(steps: list[tuple[str, float]], burst: int) -> None:
    throttle = Throttle(burst, 60)
    now, used = 0.0, {"a": 0, "b": 0, "c": 0}
    for key, wait in steps:
        now += wait
        if throttle.allows(key, now):
            throttle.spend(key, now)
            used[key] += 1
    assert max(used.values()) <= burst + now * burst / 60 + 1e-6


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not an address", "not an address"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_an_address_counts_as_what_one_customer_gets(peer: str, key: str) -> None:
    assert network(peer) == key

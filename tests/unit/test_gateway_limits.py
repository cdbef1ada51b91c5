"""Who is let in, and how fast a session may be."""

import pytest

from aldis.gateway.domain.admission import MOST_ADDRESSES, Admission, network
from aldis.gateway.domain.pace import Pace


def admission(connections: int = 0, per_address: int = 0, per_minute: int = 0) -> Admission:
    return Admission(connections=connections, per_address=per_address, per_minute=per_minute)


def test_without_limits_everybody_is_let_in() -> None:
    door = admission()
    assert [door.admit("192.0.2.1", 0.0) for _ in range(1000)] == [""] * 1000


def test_there_is_room_for_so_many_and_a_place_becomes_free() -> None:
    door = admission(connections=2)
    assert [door.admit(f"192.0.2.{n}", 0.0) for n in range(3)] == ["", "", "connections"]
    door.leave("192.0.2.0", 1.0)
    assert door.admit("192.0.2.9", 1.0) == ""


def test_one_address_does_not_take_another_ones_share() -> None:
    door = admission(per_address=1)
    assert [door.admit(peer, 0.0) for peer in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == ["", "connections-per-address", ""]


def test_the_minutes_supply_can_come_at_once_and_then_comes_back_evenly() -> None:
    door = admission(per_minute=60)
    assert [door.admit("192.0.2.1", 0.0) for _ in range(61)] == [""] * 60 + ["connections-per-minute"]
    assert [door.admit("192.0.2.1", 1.0) for _ in range(2)] == ["", "connections-per-minute"]


def test_leaving_does_not_give_the_minutes_supply_back() -> None:
    door = admission(per_minute=1)
    assert door.admit("192.0.2.1", 0.0) == ""
    door.leave("192.0.2.1", 0.1)
    assert door.admit("192.0.2.1", 0.2) == "connections-per-minute"
    assert door.admit("192.0.2.1", 60.0) == ""


def test_no_more_addresses_are_remembered_than_there_may_be() -> None:
    door = admission(per_minute=1)
    for n in range(MOST_ADDRESSES + 10):
        peer = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        assert door.admit(peer, 0.0) == ""
        door.leave(peer, 0.0)
    assert len(door._addresses) <= MOST_ADDRESSES


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("no:address", "no:address"),
    ],
)
def test_an_ipv6_customer_counts_once(peer: str, name: str) -> None:
    assert network(peer) == name


def test_two_seconds_supply_may_come_at_once() -> None:
    pace = Pace()
    assert pace.spend(200, 0.01, 0, 0.0, 1000.0) == 0
    assert pace.spend(100, 0.01, 0, 0.0, 1000.0) == pytest.approx(1.0)
    assert pace.spend(0, 0.01, 0, 0.0, 1001.0) == pytest.approx(0.0)


def test_bytes_count_beside_stanzas() -> None:
    pace = Pace()
    assert pace.spend(1, 0.01, 3000, 0.001, 1000.0) == pytest.approx(1.0)


def test_what_has_no_limit_never_waits() -> None:
    assert Pace().spend(10**9, 0.0, 10**9, 0.0, 1000.0) == 0

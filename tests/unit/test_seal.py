"""Sealing: what is sealed for one key, account and purpose opens for no other."""

from pathlib import Path

import pytest

from aldis.core.seal import SealError, SealingKey, StaleKey, context, seal

JULIET = context("plain", "capulet.lit", "juliet")


@pytest.fixture(scope="module")
def key() -> SealingKey:
    return SealingKey.generate()


@pytest.mark.parametrize("plaintext", [b"", b"x", "Röméo".encode(), b"\x00" * 125, b"p" * 126, b"p" * 127, b"p" * 65_535])
def test_what_was_sealed_opens(key: SealingKey, plaintext: bytes) -> None:
    assert key.open(seal(key.public, plaintext, JULIET), JULIET) == plaintext


def test_a_password_too_long_to_be_one_is_not_sealed(key: SealingKey) -> None:
    with pytest.raises(SealError):
        seal(key.public, b"p" * 65_536, JULIET)


@pytest.mark.parametrize(
    "other",
    [context("plain", "capulet.lit", "romeo"), context("add", "capulet.lit", "juliet"), context("plain", "capulet.litj", "uliet"), b""],
)
def test_a_blob_for_one_account_and_purpose_opens_for_no_other(key: SealingKey, other: bytes) -> None:
    with pytest.raises(SealError) as refused:
        key.open(seal(key.public, b"secret", JULIET), other)
    assert not isinstance(refused.value, StaleKey)


def test_a_blob_for_another_key_says_that_the_key_is_stale(key: SealingKey) -> None:
    with pytest.raises(StaleKey):
        SealingKey.generate().open(seal(key.public, b"secret", JULIET), JULIET)


def test_any_flipped_bit_keeps_a_blob_shut(key: SealingKey) -> None:
    blob = seal(key.public, b"secret", JULIET)
    for position in range(len(blob)):
        with pytest.raises(SealError):
            key.open(blob[:position] + bytes([blob[position] ^ 0x40]) + blob[position + 1 :], JULIET)


@pytest.mark.parametrize("cut", [0, 1, 40, 41, 56, 57, 184])
def test_a_blob_cut_short_is_refused(key: SealingKey, cut: int) -> None:
    with pytest.raises(SealError):
        key.open(seal(key.public, b"secret", JULIET)[:cut], JULIET)


def test_a_blob_with_an_ephemeral_key_of_low_order_is_refused(key: SealingKey) -> None:
    blob = seal(key.public, b"secret", JULIET)
    with pytest.raises(SealError):
        key.open(blob[:9] + bytes(32) + blob[41:], JULIET)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), bytes(33)])
def test_nothing_is_sealed_to_what_is_no_key(public: bytes) -> None:
    with pytest.raises(SealError):
        seal(public, b"secret", JULIET)


def test_the_length_of_a_password_does_not_show(key: SealingKey) -> None:
    assert len({len(seal(key.public, b"x" * length, JULIET)) for length in (0, 1, 8, 20, 126)}) == 1


def test_the_same_password_never_looks_the_same(key: SealingKey) -> None:
    assert seal(key.public, b"secret", JULIET) != seal(key.public, b"secret", JULIET)


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    first = SealingKey.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SealingKey.load(path).public == first.public
    assert [entry.name for entry in tmp_path.iterdir()] == ["seal.key"]


def test_a_damaged_key_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    path.write_bytes(b"short")
    with pytest.raises(SealError, match=r"seal\.key"):
        SealingKey.load(path)
    assert path.read_bytes() == b"short"


def test_names_that_are_no_unicode_still_make_a_context() -> None:
    assert context("plain", "capulet.lit", "\ud800") != context("plain", "capulet.lit", "?")

"""Which passwords can be set, and what is pretended of accounts that do not exist."""

import pytest

from aldis.core.xmpp.errors.stanza import NotAcceptable
from aldis.core.xmpp.sasl.scram import ScramHash, fake_salt
from aldis.directory.domain.passwords import HASHES, Decoys, acceptable, credential

SECRET = b"s" * 32


@pytest.mark.parametrize("password", ["x", "x" * 1023, " ", "Ro\u0301meo", "\u2163", "\u00a0"])
def test_a_password_is_taken_as_it_was_typed(password: str) -> None:
    assert acceptable(password.encode()) == password


@pytest.mark.parametrize("password", [b"", b"x" * 1024, b"\xff", b"\x00", b"a\nb", b"\xc2\xad", b"\xc2\xa8" * 400, b"\xed\xa0\x80"])
def test_what_some_client_could_not_send_is_not_acceptable(password: bytes) -> None:
    with pytest.raises(NotAcceptable) as refused:
        acceptable(password)
    assert refused.value.text


@pytest.mark.parametrize("hash", HASHES)
def test_a_decoy_looks_like_a_credential_and_is_always_the_same(hash: ScramHash) -> None:  # noqa: A002
    true = credential("secret", b"x" * 16, 5000, hash)
    false = Decoys(SECRET, 5000, {}).credential(hash, "nobody@capulet.lit")
    assert false == Decoys(SECRET, 5000, {}).credential(hash, "nobody@capulet.lit")
    assert [len(part) for part in (true.salt, true.stored_key, true.server_key)] == [
        len(part) for part in (false.salt, false.stored_key, false.server_key)
    ]
    assert (false.mechanism, false.iterations) == (true.mechanism, true.iterations)
    assert len({false.salt, false.stored_key[:16], false.server_key[:16]}) == 3


def test_decoys_differ_by_name_hash_and_secret() -> None:
    decoys = Decoys(SECRET, 5000, {})
    made = [decoys.credential(each, name) for each in HASHES for name in ("a@x", "b@x")]
    made.append(Decoys(b"t" * 32, 5000, {}).credential(ScramHash.SHA_1, "a@x"))
    assert len({one.salt for one in made}) == len({one.stored_key for one in made}) == len(made)


def test_a_decoys_salt_is_the_one_that_scram_invents() -> None:
    assert Decoys(SECRET, 5000, {}).credential(ScramHash.SHA_256, "a@x").salt == fake_salt(SECRET, ScramHash.SHA_256, "a@x")


def test_decoys_have_iteration_counts_as_often_as_accounts_have_them() -> None:
    decoys = Decoys(SECRET, 10_000, {"SCRAM-SHA-1": ((4096, 750), (10_000, 250))})
    counts = [decoys.credential(ScramHash.SHA_1, f"user{n}@x").iterations for n in range(2000)]
    assert 1400 < counts.count(4096) < 1600
    assert set(counts) == {4096, 10_000}
    assert decoys.credential(ScramHash.SHA_256, "user1@x").iterations == 10_000


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 100_000, "\x00"])
def test_any_name_has_a_decoy(name: str) -> None:
    assert len(Decoys(SECRET, 5000, {}).credential(ScramHash.SHA_1, name).salt) == 16

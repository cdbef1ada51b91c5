"""Version N−1 and N of the contracts work together: each kept snapshot is an earlier version, read and written by today's structs."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aldis.core.bus.codec import Codec, Known, Unknown
from aldis.core.contracts import Message
from aldis.core.contracts.accounts import AccountForgotten, SealKeyRequest
from tools.contracts_snapshot import Snapshot, example, messages, restore, roots, snapshot

KEPT = sorted((Path(__file__).resolve().parents[1] / "contracts").glob("*.json"))
TODAY = {struct.__name__: struct for struct in roots()}


def read(path: Path) -> Snapshot:
    """One earlier version."""
    kept: Snapshot = json.loads(path.read_text())
    return kept


def common(old: Any, new: Any) -> None:
    """Compare what both versions know: every field of the older struct, in depth."""
    if isinstance(old, msgspec.Struct):
        for field in old.__struct_fields__:
            common(getattr(old, field), getattr(new, field))
    elif isinstance(old, tuple):
        assert len(old) == len(new)
        for one, other in zip(old, new, strict=True):
            common(one, other)
    else:
        assert old == new


each_version = pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)


def test_there_is_an_earlier_version_to_test_against() -> None:
    assert KEPT


@each_version
def test_what_an_earlier_version_wrote_is_read_as_it_was_meant(path: Path) -> None:
    kept = read(path)
    then = restore(kept)
    for name, encoded in kept["examples"].items():
        data = base64.b64decode(encoded)
        old = msgspec.msgpack.decode(data, type=then[name])
        common(old, msgspec.msgpack.decode(data, type=TODAY[name]))
    union = [msgspec.Raw(base64.b64decode(data)) for name, data in kept["examples"].items() if kept["structs"][name]["tag"]]
    read_as = Codec().decode(msgspec.msgpack.encode(union))
    assert {type(message).__name__ for message in read_as} == {name for name in kept["examples"] if kept["structs"][name]["tag"]}


@each_version
def test_what_this_version_writes_is_read_by_an_earlier_one(path: Path) -> None:
    kept = read(path)
    then = restore(kept)
    for name in kept["examples"]:
        new = example(TODAY[name])
        common(msgspec.msgpack.decode(msgspec.msgpack.encode(new), type=then[name]), new)


@each_version
def test_structs_only_grow(path: Path) -> None:
    now = snapshot(roots())["structs"]
    for name, struct in read(path)["structs"].items():
        assert name in now, f"{name} was sent by {path.stem}: a message is kept, a new one gets a new name"
        assert (struct["tag"], struct["array"]) == (now[name]["tag"], now[name]["array"]), name
        old, new = struct["fields"], now[name]["fields"]
        by_name = {field["name"]: field for field in new}
        for field in old:
            assert by_name.get(field["name"], {}).get("type") == field["type"], f"{name}.{field['name']} was renamed or re-typed"
        added = [field for field in new if field["name"] not in {field["name"] for field in old}]
        assert all("default" in field for field in added), f"{name}: a new field has a default"
        if struct["array"]:
            assert [field["name"] for field in new[: len(old)]] == [field["name"] for field in old], f"{name}: a new field goes to the end"


def test_a_message_of_a_later_version_costs_nobody_elses_message() -> None:
    class Later(Message, frozen=True, kw_only=True, tag="later"):
        what: str

    known = AccountForgotten(account="juliet@localhost", service="router")
    data = msgspec.msgpack.encode([known, Later(what="new"), SealKeyRequest()])
    assert Codec().decode(data) == [known, Unknown(name="later"), SealKeyRequest()]


def test_what_is_no_batch_at_all_is_an_error() -> None:
    for data in (b"", b"\xc1", msgspec.msgpack.encode({"kind": "from"}), msgspec.msgpack.encode([{"kind": "exists?"}])):
        with pytest.raises(msgspec.MsgspecError):
            Codec().decode(data)


def test_every_message_has_a_tag_of_its_own() -> None:
    tags = [struct.__struct_config__.tag for struct in messages(Known)]
    assert len(set(tags)) == len(tags)

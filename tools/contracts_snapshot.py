"""Write down what the contracts look like on the wire: `tools/contracts_snapshot.py --output tests/contracts/VERSION.json`.

Done once for each release. The file holds every struct's fields and one encoded example of every message, so that later versions can
be tested against this one without its code: `restore` makes the structs of that time again.
"""

import argparse
import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from aldis.core.bus.codec import Known
from aldis.core.shards.effects import Effect

PLAIN: Final[Mapping[str, type]] = {kind.__name__: kind for kind in (str, int, float, bool, bytes)}

Snapshot = dict[str, Any]


def messages(union: Any) -> list[type[msgspec.Struct]]:
    """The structs of a tagged union."""
    return list(get_args(union)) if isinstance(union, UnionType) else [union]


def roots() -> list[type[msgspec.Struct]]:
    """Everything that is encoded for itself: the messages, and what the outbox keeps in the database."""
    return [*messages(Known), Effect]


def snapshot(structs: list[type[msgspec.Struct]]) -> Snapshot:
    """The fields of every struct and of those within it, and an example of each of `structs`, encoded."""
    found: dict[str, Any] = {}
    for struct in structs:
        _describe(struct, found)
    encode = msgspec.msgpack.encode
    return {
        "structs": found,
        "examples": {struct.__name__: base64.b64encode(encode(example(struct))).decode() for struct in structs},
    }


def _describe(struct: type[msgspec.Struct], found: dict[str, Any]) -> None:
    if struct.__name__ in found:
        return
    config = struct.__struct_config__
    hints = get_type_hints(struct)
    for hint in hints.values():
        for inner in _structs_in(hint):
            _describe(inner, found)  # before it, so that the order of the file is one in which they can be made again
    fields = []
    for field in msgspec.structs.fields(struct):
        entry: dict[str, Any] = {"name": field.name, "type": _written(hints[field.name])}
        if not field.required:
            entry["default"] = _plain(field.default)
        fields.append(entry)
    found[struct.__name__] = {"tag": config.tag, "array": config.array_like, "fields": fields}


def _structs_in(hint: Any) -> list[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in _structs_in(argument)]


def _written(hint: Any) -> str:
    """A type as it stands in the code."""
    if get_origin(hint) is tuple:
        return f"tuple[{', '.join('...' if part is Ellipsis else _written(part) for part in get_args(hint))}]"
    if isinstance(hint, UnionType):
        return " | ".join(_written(part) for part in get_args(hint))
    return "None" if hint is type(None) else str(hint.__name__)


def _plain(value: Any) -> Any:
    """A default as JSON: bytes become text, since all of them are empty."""
    return value.decode() if isinstance(value, bytes) else list(value) if isinstance(value, tuple) else value


def example(hint: Any, name: str = "x", default: Any = msgspec.NODEFAULT) -> Any:
    """A value of this type, as full as can be, and never the default, which would be left out."""
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        return (example(parts[0], name),) if parts[-1] is Ellipsis else tuple(example(part, name) for part in parts)
    if isinstance(hint, UnionType):
        return example(next(part for part in get_args(hint) if part is not type(None)), name, default)
    if issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint)
        return hint(**{field.name: example(hints[field.name], field.name, field.default) for field in msgspec.structs.fields(hint)})
    if hint is bool:
        return default is not True
    return {str: name, bytes: name.encode(), int: len(name) + 40, float: len(name) + 0.5}[hint]


def restore(kept: Snapshot) -> dict[str, type[msgspec.Struct]]:
    """The structs as they were when the snapshot was taken."""
    made: dict[str, type[msgspec.Struct]] = {}
    for name, struct in kept["structs"].items():
        fields = []
        for field in struct["fields"]:
            kind = _read(field["type"], made)
            entry = (field["name"], kind)
            fields.append((*entry, _default(kind, field["default"])) if "default" in field else entry)
        tag = struct["tag"]
        made[name] = msgspec.defstruct(
            name, fields, frozen=True, kw_only=not struct["array"], array_like=struct["array"], tag=tag, tag_field="kind" if tag else None,
            omit_defaults=not struct["array"],
        )  # fmt: skip
    return made


def _read(text: str, made: Mapping[str, type]) -> Any:
    return eval(text, {"__builtins__": {}}, {**PLAIN, **made, "tuple": tuple})  # noqa: S307  what `_written` wrote


def _default(kind: Any, value: Any) -> Any:
    return value.encode() if kind is bytes else tuple(value) if isinstance(value, list) else value


def main(arguments: list[str] | None = None) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    options.output.write_text(json.dumps(snapshot(roots()), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a settings model knows: its settings by path, in the order they are written."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

PREFIX = "ALDIS_"


@dataclass(frozen=True, slots=True)
class Known:
    """One setting of a model."""

    path: tuple[str, ...]
    field: FieldInfo
    kind: type
    """The bare type: `int` for a bounded or an optional one, `tuple` for any list."""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        return PREFIX + "__".join(self.path).upper()

    @property
    def secret(self) -> bool:
        """Whether it may also come from the file that `<name>_file` names."""
        return issubclass(self.kind, SecretStr)


def known_settings(model: type[BaseModel]) -> dict[tuple[str, ...], Known]:
    """The settings of a model; a section appears through what is in it."""
    return {known.path: known for known in _walk(model, ())}


def partial_sections(model: type[BaseModel]) -> frozenset[str]:
    """The sections in which other services have settings of their own, which this model does not know."""
    return frozenset(name for name, field in model.model_fields.items() if getattr(bare_type(field.annotation), "partial", False))


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Known]:
    for name, field in model.model_fields.items():
        kind = bare_type(field.annotation)
        if issubclass(kind, BaseModel):
            yield from _walk(kind, (*path, name))
        else:
            yield Known((*path, name), field, kind)


def bare_type(annotation: Any) -> type:
    """The type without `Annotated`, `| None` and parameters; `str` for a choice of words."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return bare_type(next(part for part in get_args(annotation) if part is not type(None)))
    if origin is None:
        return annotation if isinstance(annotation, type) else str
    if isinstance(origin, type):
        return origin
    first = get_args(annotation)[0]
    return bare_type(first) if isinstance(first, type) or get_origin(first) else type(first)

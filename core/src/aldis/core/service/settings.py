"""Settings: one frozen model per service, filled from one TOML file and the environment, every wrong one named with its mend."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr, ValidationError

from aldis.core.service.problems import SettingsError, Wrong, explain
from aldis.core.service.schema import known_settings, partial_sections
from aldis.core.service.sources import collect, in_folder, read_toml
from aldis.core.service.text import one_line

__all__ = ["SEARCH", "SecretUrl", "Section", "Settings", "SettingsError", "Shown", "Wrong", "load", "show"]

SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)
SEARCH = (Path("aldis.toml"), Path("/etc/aldis/aldis.toml"))
"""Where the file is looked for when neither `--config` nor ALDIS_CONFIG names one."""


class Section(BaseModel):
    """Base of a section, a `[table]` of the file; the descriptions of its fields are the manual.

    Strict, because `port = true` is a mistake and not port 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    partial: ClassVar[bool] = False
    """Whether other services have settings of their own in the section of this name."""


class Settings(Section):
    """Base of the model of a whole service; several services in one process use a model that inherits from all of theirs."""

    _origins: dict[tuple[str, ...], str] = PrivateAttr(default_factory=dict)


class SecretUrl(SecretStr):
    """An address that may hold a password: shown whole but for that."""


S = TypeVar("S", bound=Settings)


def load(path: Path | None, environ: Mapping[str, str], model: type[S], *, shared: bool = False, search: Sequence[Path] = SEARCH) -> S:
    """The settings from `path`, else from the file ALDIS_CONFIG names, else from the first of `search` that exists; the environment wins.

    `shared` is for one service of several that read the same file: sections that its model does not know are somebody else's,
    and so is what it does not know in a section that is `partial`.
    Whoever knows all of them (`aldis serve`, `aldis config check`) leaves it out, so that every misspelt name is found.
    """
    known = known_settings(model)
    data, name, folder = read_toml(path, environ, search)
    in_folder(known, data, folder)
    others = partial_sections(model) if shared else frozenset()
    collected = collect(known, data, name, environ, shared=shared, others=others)
    try:
        settings = model.model_validate_json(json.dumps(collected.data, default=str))
    except ValidationError as error:
        raise SettingsError([*collected.problems, *explain(error, known, collected)]) from None
    if collected.problems:
        raise SettingsError(collected.problems)
    settings._origins.update(collected.origins)  # noqa: SLF001  the model's own module
    return settings


@dataclass(frozen=True, slots=True)
class Shown:
    """One effective setting, fit to be printed: a secret is masked."""

    name: str
    value: Any
    origin: str

    def line(self) -> str:
        """As it stands in TOML, with where it comes from."""
        return f"{self.name} = {one_line(json.dumps(self.value, ensure_ascii=False))}  # {self.origin}"


def show(settings: Settings) -> list[Shown]:
    """Every effective setting with its origin, for `aldis config show`."""
    origins = settings._origins  # noqa: SLF001  the model's own module
    return [Shown(".".join(path), masked(value), origins.get(path, "default")) for path, value in _leaves(settings)]


def masked(value: Any) -> Any:
    """A value as plain data, without what is secret in it."""
    if isinstance(value, SecretUrl):
        return _without_password(value.get_secret_value())
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, tuple | list):
        return [masked(item) for item in value]
    if isinstance(value, BaseModel):
        return {name: masked(getattr(value, name)) for name in type(value).model_fields}
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _without_password(url: str) -> str:
    """By hand, since a password may hold what would end it for a parser of addresses; rather too much masked than too little."""
    scheme, found, rest = url.partition("://")
    if not found:
        return "********" if url else ""
    user, at, host = rest.rpartition("@")
    if at and ":" in user:
        rest = f"{user.partition(':')[0]}:********@{host}"
    return f"{scheme}://" + SECRET_PARAMETER.sub(r"\1********", rest)


def _leaves(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value

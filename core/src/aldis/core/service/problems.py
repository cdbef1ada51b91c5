"""Wrong settings, each explained on one line: the setting, where it came from, what is wrong, and the mend."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from aldis.core.service.collected import Collected
from aldis.core.service.schema import Known
from aldis.core.service.text import one_line, quoted

WORDS = {
    "bool_type": "must be either true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "tuple_type": 'must be a list, such as ["one", "two"]',
    "list_type": 'must be a list, such as ["one", "two"]',
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}
"""pydantic's error types in an operator's words; what is not here keeps pydantic's."""


class SettingsError(Exception):
    """Settings that can't be used; `problems` holds one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Wrong(ValueError):
    """Raised by a model's validator for one of several settings that don't go together: names it, and what to do instead."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(what)
        self.name = name


def line(name: str, value: str | None, origin: str | None, what: str) -> str:
    """One problem: `c2s.port = 70000 (aldis.toml): a port is 1 to 65535; use 5222 or leave it out`."""
    return one_line(f"{name}{'' if value is None else f' = {value}'}{f' ({origin})' if origin else ''}: {what}")


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The mend of an unknown name."""
    close = get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else "leave it out"


def explain(error: ValidationError, known: Mapping[tuple[str, ...], Known], collected: Collected) -> list[str]:
    """A line for each thing that pydantic found."""
    return [_explain(detail, known, collected) for detail in error.errors(include_url=False)]


def _explain(detail: ErrorDetails, known: Mapping[tuple[str, ...], Known], collected: Collected) -> str:
    location: tuple[int | str, ...] = detail["loc"]
    value = detail.get("input")
    context: dict[str, Any] = detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Wrong):
        location = tuple(cause.name.split("."))
        value = collected.value_at(location)
    path = tuple(part for part in location if isinstance(part, str))
    name = ".".join(path) + "".join(f"[{part}]" for part in location if isinstance(part, int))
    setting = known.get(path)
    origin = collected.origin_of(collected.origins, path)
    if detail["type"] == "extra_forbidden":
        return line(name, None, origin, f"there is no such setting; {unknown(path, known)}")
    if detail["type"] == "missing":
        return line(name, None, None, f"must be set; write it into the file or set {setting.variable if setting else name}")
    if detail["type"] in ("model_type", "model_attributes_type"):
        return line(name, shown(value), origin, f"must be a section; write [{name}] and its settings below")
    if cause is not None:
        what = str(cause)
    else:
        what = WORDS.get(detail["type"], detail["msg"][:1].lower() + detail["msg"][1:]).format_map(_Context(context))
    if ";" not in what and setting is not None:
        what = f"{what}; {_mend(setting)}"
    secret = setting is not None and setting.secret
    return line(name or "settings", None if not name or value is None else "********" if secret else shown(value), origin, what)


class _Context(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def unknown(path: tuple[str, ...], known: Mapping[tuple[str, ...], Known]) -> str:
    """The mend of a setting that does not exist: the nearest name that does."""
    *section, word = path
    siblings = {other[len(section)] for other in known if len(other) > len(section) and list(other[: len(section)]) == section}
    if section and (word,) in known:
        return f"{word} belongs at the top of the file, above the first [section]"
    mend = did_you_mean(word, sorted(siblings))
    if mend == "leave it out":
        elsewhere = sorted(other.name for other in known.values() if other.path[-1] == word)
        return f"did you mean {elsewhere[0]}?" if elsewhere else mend
    return mend.replace("did you mean ", "did you mean " + "".join(f"{part}." for part in section))


def shown(value: Any) -> str:
    """A value as it stands in TOML, on one line and not too long."""
    if isinstance(value, str):
        text = quoted(value, 60)
        return text if text.startswith('"') else f'"{text}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(item) for item in value[:5])}{', …' if len(value) > 5 else ''}]"
    if isinstance(value, dict):
        return "{…}"
    return one_line(json.dumps(value, default=str))


def _mend(setting: Known) -> str:
    default = setting.field.get_default(call_default_factory=False)
    if setting.field.is_required():
        return "set another"
    if default in (None, "", ()) or isinstance(default, SecretStr):
        return "mend it or leave it out"
    return f"use {shown(default if isinstance(default, bool | int | float | tuple) else str(default))} or leave it out"

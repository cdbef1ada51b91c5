"""What all sources of settings together say, each value with its origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Names = tuple[str, ...]
"""The path of a setting: its sections and its name."""


@dataclass(slots=True)
class Collected:
    """What all sources together say, before it is validated."""

    data: dict[str, Any]
    origins: dict[Names, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def origin_of(origins: Mapping[Names, str], path: tuple[int | str, ...]) -> str | None:
        """The origin of the setting at `path`, or of the nearest thing around it."""
        names = tuple(part for part in path if isinstance(part, str))
        return next((origins[names[:end]] for end in range(len(names), 0, -1) if names[:end] in origins), None)

    def value_at(self, path: tuple[int | str, ...]) -> Any:
        value: Any = self.data
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def put(self, path: Names, value: Any, origin: str) -> None:
        """Set a value, unless the file has something else where its section should be, which validation will tell."""
        table: Any = self.data
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                return
        table[path[-1]] = value
        self.origins[path] = origin

    def drop(self, path: Names) -> Any:
        """Take a value out; None if there is none."""
        table = self.value_at(path[:-1])
        return table.pop(path[-1], None) if isinstance(table, dict) else None

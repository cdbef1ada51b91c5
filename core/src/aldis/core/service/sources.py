"""Where settings come from: the TOML file, files that hold a secret, and the environment, each value with its origin."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aldis.core.service.collected import Collected, Names
from aldis.core.service.problems import SettingsError, line, shown, unknown
from aldis.core.service.schema import PREFIX, Known
from aldis.core.service.text import path_fault, quoted

CONFIG = "ALDIS_CONFIG"
KUBERNETES = re.compile(
    r".*_SERVICE_(HOST|PORT(_\w+)?)=.*|.*_PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*|.*_PORT_\d+_(TCP|UDP|SCTP)_\w+=.*"
)
"""What Kubernetes sets in each container for a service named aldis-c2s, such as `ALDIS_C2S_PORT=tcp://…`: no attempt at a setting."""


def read_toml(path: Path | None, environ: Mapping[str, str], search: Sequence[Path]) -> tuple[dict[str, Any], str, Path]:
    """The file's tables, its name and its folder; nothing at all if no file was asked for and none is found."""
    if path is None and environ.get(CONFIG):
        path, asked = Path(environ[CONFIG]), f" ({CONFIG})"
    else:
        path, asked = path or next((candidate for candidate in search if candidate.is_file()), None), ""
    if path is None:
        return {}, "", Path()
    name = quoted(str(path))
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise SettingsError([f"{name}{asked}: can't be read: {error.strerror}; name another file or mend its permissions"]) from None
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([f"{name}: line {row}: not UTF-8; save the file as UTF-8"]) from None
    try:
        return tomllib.loads(text), name, path.parent
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{name}: {_syntax(str(error), text)}"]) from None
    except RecursionError:
        raise SettingsError([f"{name}: nested too deeply; settings are [section] and name = value"]) from None


def _syntax(message: str, text: str) -> str:
    """What tomllib says, with the place first and the offending line, where many mistakes can be seen at a glance."""
    rows = text.rstrip("\n").split("\n")
    if match := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL):
        what, row, column = match[1], int(match[2]), int(match[3])
    else:
        what, row, column = message.removesuffix(" (at end of document)"), len(rows), len(rows[-1]) + 1
    what = " ".join(what.split())
    return f"line {row}, column {column}: {what[:1].lower() + what[1:]}; text stands in quotes and each line is [section] or name = value"


def in_folder(known: Mapping[Names, Known], data: dict[str, Any], folder: Path) -> None:
    """Take relative paths in a settings file from the file's own folder, so that they mean the same wherever a command is given."""
    for path, setting in known.items():
        names = [path[-1]] if setting.kind is Path else [f"{path[-1]}_file"] if setting.secret else []
        table: Any = data
        for key in path[:-1]:
            table = table.get(key) if isinstance(table, dict) else None
        for name in names:
            if isinstance(table, dict) and isinstance(table.get(name), str) and not path_fault(table[name]):
                table[name] = str(folder / table[name])


def collect(
    known: Mapping[Names, Known],
    data: dict[str, Any],
    name: str,
    environ: Mapping[str, str],
    *,
    shared: bool,
    others: frozenset[str] = frozenset(),
) -> Collected:
    """Put the sources together; the environment wins over the file. `others` are sections with settings of other services."""
    sections = {path[0] for path in known}
    if shared:
        data = {key: value for key, value in data.items() if key in sections or not isinstance(value, dict)}
        data |= {key: _own(known, key, data[key]) for key in others if isinstance(data.get(key), dict)}
    collected = Collected(data)
    _mark(collected.origins, data, (), name)
    for setting in known.values():
        if setting.secret:
            _secret_from_file(collected, setting, collected.drop(_file_path(setting.path)), name, f"{setting.name}_file")
    _from_environment(collected, known, environ, shared=shared, others=others)
    _find_no_paths(collected, known)
    return collected


def _find_no_paths(collected: Collected, known: Mapping[Names, Known]) -> None:
    for path, setting in known.items():
        text = collected.value_at(path) if setting.kind is Path else None
        if isinstance(text, str) and (fault := path_fault(text)):
            collected.problems.append(line(setting.name, shown(text), collected.origins.get(path), fault))


def _file_path(path: Names) -> Names:
    return (*path[:-1], f"{path[-1]}_file")


def _mark(origins: dict[Names, str], data: dict[str, Any], path: Names, name: str) -> None:
    for key, value in data.items():
        if isinstance(value, dict):
            _mark(origins, value, (*path, key), name)
        origins[(*path, key)] = name


def _secret_from_file(collected: Collected, setting: Known, file: Any, origin: str, name: str) -> None:
    """Read a secret from the file that was named for it."""
    if file is None:
        return
    if not isinstance(file, str):
        collected.problems.append(line(name, shown(file), origin, "must be a path in quotes; name the file that holds the secret"))
        return
    if fault := path_fault(file):
        collected.problems.append(line(name, shown(file), origin, fault))
        return
    if collected.origins.get(setting.path) == origin:
        collected.problems.append(line(name, shown(file), origin, f"{setting.name} is set as well; keep one of the two"))
        return
    try:
        collected.put(setting.path, Path(file).read_text().strip("\r\n"), f"{name} {quoted(file)}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        collected.problems.append(line(name, shown(file), origin, f"can't be read: {reason}; mend the file or name another"))


def _own(known: Mapping[Names, Known], section: str, table: dict[str, Any]) -> dict[str, Any]:
    """What of a section is this service's."""
    return {name: value for name, value in table.items() if (section, name) in known or (section, name.removesuffix("_file")) in known}


def _from_environment(
    collected: Collected, known: Mapping[Names, Known], environ: Mapping[str, str], *, shared: bool, others: frozenset[str]
) -> None:
    by_variable = {setting.variable: setting for setting in known.values()}
    by_file = {f"{setting.variable}_FILE": setting for setting in known.values() if setting.secret}
    slips = {variable.replace("__", "_"): variable for variable in [*by_variable, *by_file]}
    sections = {path[0] for path in known}
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or variable == CONFIG:
            continue
        if (setting := by_variable.get(variable)) is not None:
            if not text.isascii() and not _is_utf8(text):
                collected.problems.append(line(variable, None, None, "must be UTF-8; write it as UTF-8"))
            else:
                collected.put(setting.path, _parsed(text, setting.kind), variable)
        elif (setting := by_file.get(variable)) is not None:
            if setting.variable in environ:
                collected.problems.append(line(variable, None, None, f"{setting.variable} is set as well; keep one of the two"))
            else:
                _secret_from_file(collected, setting, text, variable, variable)
        elif KUBERNETES.fullmatch(f"{variable}={text}"):
            continue
        else:
            path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
            if path[1:] and shared and (path[0] not in sections or path[0] in others):
                continue
            if path in {(section,) for section in sections} - known.keys():
                mend = f"{path[0]} is a section, whose settings are {variable}__NAME"
            else:
                mend = f"did you mean {slips[variable]}?" if variable in slips else _as_variable(unknown(path, known))
            collected.problems.append(line(variable, None, None, f"there is no such setting; {mend}"))


def _as_variable(mend: str) -> str:
    match = re.fullmatch(r"did you mean (.+)\?", mend)
    return f"did you mean {PREFIX}{match[1].replace('.', '__').upper()}?" if match else mend


def _is_utf8(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _parsed(text: str, kind: type) -> Any:
    """A variable's text as the type wants it; what does not fit stays text, and validation says so."""
    if issubclass(kind, bool):
        return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "on": True, "off": False}.get(
            text.strip().lower(), text
        )
    if issubclass(kind, int | float):
        try:
            return int(text) if issubclass(kind, int) else float(text)
        except ValueError:
            return text
    if issubclass(kind, tuple | list):
        return _parsed_list(text)
    return text


def _parsed_list(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [part.strip() for part in text.split(",") if part.strip()]

"""The house checks itself: what a new service or file must bring along, said in one place."""

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
SOURCES = sorted(chain(ROOT.glob("*/src"), ROOT.glob("services/*/src")))
MODULES = sorted(chain.from_iterable(source.rglob("*.py") for source in SOURCES))
PYTHON = sorted(chain(MODULES, *(ROOT.glob(f"{folder}/**/*.py") for folder in ("tests", "tools", "bench"))))
LOCKS = sorted(chain(ROOT.glob("requirements*.lock"), ROOT.glob("services/*/requirements.lock")))

LONGEST = 400
LONGER_BECAUSE = {
    "core/src/aldis/core/xmpp/stream/framer.py": "one scanner on the hot path: a call between its parts costs more than the parts",
    "core/src/aldis/core/xmpp/stream/machine.py": "one state machine: what may follow what is read in one place",
    "tests/unit/test_certificates.py": "each fault of a certificate file with its mend",
    "tests/unit/test_stream_machine.py": "each state of the machine against each event",
    "tests/unit/test_tls_layer.py": "both ends of the layer, and what may go wrong between them",
}
"""Files that may be longer than 400 lines, each with its reason."""

each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)


def relative(path: Path) -> str:
    """Name a path as the repository does."""
    return path.relative_to(ROOT).as_posix()


def module(service: Path) -> str:
    """Name the import package of a service: `admin-api` is `aldis.admin_api`."""
    return f"aldis.{service.name.replace('-', '_')}"


def contract(name: str) -> dict[str, Any]:
    """Find an import contract by its name."""
    return next(found for found in CONTRACTS if found["name"] == name)


def pins(lock: Path) -> dict[str, str]:
    """Read the pinned version of each package in a lock."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(), re.MULTILINE))


@each_service
def test_every_service_says_in_its_readme_what_it_owns(service: Path) -> None:
    assert (service / "README.md").is_file()


@each_service
def test_every_service_has_a_lock_of_its_own(service: Path) -> None:
    assert pins(service / "requirements.lock")


@each_service
def test_every_service_stands_in_the_import_contracts(service: Path) -> None:
    assert module(service) in contract("services are strangers")["modules"]
    assert module(service) in contract("every service has the same rooms")["containers"]
    assert any(module(service) in layer.split(" | ") for layer in contract("only the launcher knows the services")["layers"])


@each_service
def test_every_service_has_its_package_where_its_name_says(service: Path) -> None:
    assert (service / "src" / "aldis" / module(service).removeprefix("aldis.") / "__init__.py").is_file()


def test_mypy_and_ruff_know_every_source_folder() -> None:
    folders = {relative(source) for source in SOURCES}
    assert set(PROJECT["tool"]["mypy"]["mypy_path"]) == folders
    assert set(PROJECT["tool"]["ruff"]["src"]) == folders | {"."}


def test_every_workspace_package_is_found_in_the_workspace_and_not_in_a_registry() -> None:
    members = chain(ROOT.glob("*/pyproject.toml"), ROOT.glob("services/*/pyproject.toml"))
    names = {tomllib.loads(path.read_text())["project"]["name"] for path in members}
    assert set(PROJECT["tool"]["uv"]["sources"]) == names


def test_aldis_is_a_namespace_so_that_services_can_be_installed_apart() -> None:
    assert [relative(source) for source in SOURCES if (source / "aldis" / "__init__.py").exists()] == []


@pytest.mark.parametrize("lock", LOCKS, ids=relative)
def test_locks_hold_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"\w+://|--(index-url|extra-index-url|find-links)|^-e |^\S+ @ ", text, re.MULTILINE)
    for requirement in re.split(r"\n(?=[a-z0-9])", text):
        assert "==" not in requirement or "--hash=sha256:" in requirement


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if "uv" not in lock.name], ids=relative)
def test_every_lock_pins_what_the_development_lock_pins(lock: Path) -> None:
    assert pins(lock).items() <= pins(ROOT / "requirements.lock").items()


def test_no_file_is_long_without_a_reason() -> None:
    long = {relative(path) for path in PYTHON if len(path.read_text().splitlines()) > LONGEST}
    assert long == set(LONGER_BECAUSE)


def test_every_module_that_holds_something_says_what_it_is_for() -> None:
    silent = [relative(path) for path in PYTHON if (tree := ast.parse(path.read_text())).body and ast.get_docstring(tree) is None]
    assert silent == []


def test_nothing_is_left_to_do_in_the_code() -> None:
    marks = re.compile(r"#.*\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
    assert [relative(path) for path in PYTHON if marks.search(path.read_text())] == []


def test_shell_scripts_can_be_run() -> None:
    scripts = [*ROOT.glob("tools/*.sh"), *ROOT.glob("tests/e2e/*.sh"), ROOT / ".ci/run"]
    assert [relative(path) for path in scripts if not path.stat().st_mode & 0o100] == []

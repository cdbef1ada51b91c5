"""The manual does not lie: generated pages are fresh, links lead somewhere, and what is named is in the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from aldis.core.service.schema import known_settings
from aldis.core.xmpp.stream.frames import AFTER_AUTHENTICATION, BEFORE_AUTHENTICATION
from aldis.launcher.arguments import USER_ACTIONS, parser
from aldis.launcher.settings import AldisSettings
from tools import settings_reference, spec_refs, xeps_reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(chain([ROOT / "README.md"], DOCS.rglob("*.md"), ROOT.glob("*/README.md"), ROOT.glob("services/*/README.md")))
WRITTEN = [page for page in PAGES if page.name not in {"settings.md", "xeps.md", "spec-coverage.md"}]
MODULES = sorted(chain(ROOT.glob("*/src/**/*.py"), ROOT.glob("services/*/src/**/*.py")))
LOGS = {"debug", "info", "warning", "error", "exception", "log", "_log"}
NO_ROOMS = {"build", "dist", "data", "node_modules"}
"""Folders that a working tree may have and the repository does not."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
each_written_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def literals() -> frozenset[str]:
    """Every string in the packages, each constant part of an f-string for itself."""
    trees = (ast.parse(path.read_text()) for path in MODULES)
    nodes = chain.from_iterable(ast.walk(tree) for tree in trees)
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def metrics() -> Iterator[str]:
    """Every metric that the code registers, with its labels: `aldis_auth_total{mechanism,result}`."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Tally", "Level", "Spread"}:
                name = ast.literal_eval(node.args[1])
                labels = ast.literal_eval(node.args[3]) if len(node.args) > 3 else ()
                yield f"{name}{{{','.join(labels)}}}" if labels else name


def events() -> Iterator[str]:
    """Every event that the code logs."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGS:
                texts = (argument.value for argument in node.args if isinstance(argument, ast.Constant))
                yield from (text for text in texts if isinstance(text, str))


def section(page: Path, title: str) -> str:
    """What stands between a heading and the next one of its level."""
    return page.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(table: str) -> list[str]:
    """The first column of a table, without its head."""
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][1:]


def quoted(cell: str) -> list[str]:
    """What stands in back quotes."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_settings_reference_is_fresh() -> None:
    assert (DOCS / "settings.md").read_text() == settings_reference.render([AldisSettings]), "run make docs"


def test_the_list_of_xeps_is_fresh() -> None:
    assert (DOCS / "xeps.md").read_text() == xeps_reference.page(list(xeps_reference.rows())), "run make docs"


def test_the_list_of_xeps_has_every_file_that_is_named_after_one() -> None:
    named = {(path.parents[1].name, int(path.name[4:8])) for path in ROOT.glob("services/*/src/aldis/*/features/xep_*.py")}
    assert {(row.service.replace("-", "_"), row.xep) for row in xeps_reference.rows()} >= named


def test_the_spec_coverage_has_every_document_that_the_code_cites() -> None:
    cited = {citation.document for path, text in spec_refs.sources() for citation in spec_refs.citations(path, text)}
    shown = set(re.findall(r"^## (.+)$", (DOCS / "spec-coverage.md").read_text(), re.MULTILINE))
    assert shown == cited, "run make docs"


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == [], "a page that is generated is mended by make docs"


def test_every_decision_stands_in_the_list_of_decisions() -> None:
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (DOCS / "adr" / "README.md").read_text())
    assert listed == sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))


def test_the_manual_lists_every_metric_and_no_other() -> None:
    table = section(DOCS / "operations.md", "Metrics and health")
    assert sorted(name for cell in first_cells(table) for name in quoted(cell) if name.startswith("aldis_")) == sorted(metrics())


def test_the_manual_lists_every_log_event_and_no_other() -> None:
    listed = [event for cell in first_cells(section(DOCS / "operations.md", "Logs")) for event in quoted(cell)]
    assert sorted(listed) == sorted(set(events()))


def test_the_limits_on_xml_are_those_of_the_framer() -> None:
    table = section(DOCS / "security.md", "Hostile input")
    figures = [[cell.strip() for cell in line.split("|")[2:4]] for line in table.splitlines() if line.startswith("| ")][1:]
    fields = ("stanza_bytes", "tag_bytes", "depth", "attributes", "attribute_bytes", "name_bytes", "namespaces", "children")
    wanted = [[getattr(limits, name) for limits in (BEFORE_AUTHENTICATION, AFTER_AUTHENTICATION)] for name in fields]
    assert [[int(cell.removesuffix(" KiB")) * (1024 if cell.endswith(" KiB") else 1) for cell in row] for row in figures] == wanted


def test_every_message_of_the_troubleshooting_table_is_one_that_can_be_seen() -> None:
    messages = [message for cell in first_cells(section(DOCS / "operations.md", "Troubleshooting")) for message in quoted(cell)[:1]]
    scripts = "".join(path.read_text() for path in ROOT.glob("tools/*.sh"))
    assert len(messages) > 20
    assert [text for text in messages if text not in scripts and not any(text in literal for literal in literals())] == []


@each_written_page
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    code = "\n".join([*re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL), *quoted(page.read_text())])
    commands = re.findall(r"(?:^|/bin/|sudo -u aldis )aldis (?:--\S+ \S+ )*([a-z]+)(?: ([a-z]+)\b(?![@.]))?", code, re.MULTILINE)
    choices = next(action.choices for action in parser()._actions if action.dest == "command")
    assert choices is not None
    assert [command for command, _ in commands if command not in choices] == []
    assert [action for command, action in commands if command == "user" and action and action not in USER_ACTIONS] == []


@each_written_page
def test_every_make_target_that_a_page_names_is_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:`|^)make (?:-C \S+ )?([.a-z][\w./-]*)", page.read_text(), re.MULTILINE)
    assert [target for target in targets if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)] == []


@each_written_page
def test_every_setting_that_a_page_names_is_there(page: Path) -> None:
    known = {known.name for known in known_settings(AldisSettings).values()}
    sections = {name.partition(".")[0] for name in known if "." in name}
    named = re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)(?=[` ])", page.read_text())
    files = {path.name for path in MODULES}
    assert [name for name in named if name not in known and name not in literals() and name not in files] == []


def test_the_map_of_the_repository_has_every_folder() -> None:
    mapped = {name.rstrip("/") for cell in first_cells(section(ROOT / "README.md", "The map")) for name in quoted(cell)}
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - NO_ROOMS
    assert there == mapped

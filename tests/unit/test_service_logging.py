"""Logs: what a person reads, what a program reads, and what nobody can make them say."""

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aldis.core.service.logging import make_logger, stdlib_into

NOON = 1_769_860_800.25
EVENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \w+ +\S+( [^\s=]+=(\"([^\"\\]|\\.)*\"|[^\s\"]+))*")


def logged(form: str = "human", level: str = "info", event: str = "session.bound", **keys: object) -> str:
    stream = io.StringIO()
    make_logger(level, form, stream, now=lambda: NOON).info(event, **keys)
    return stream.getvalue()


def test_a_line_has_the_time_in_utc_the_level_the_event_and_its_keys() -> None:
    assert logged(jid="juliet@capulet.example/balcony", n=3, ok=True, none=None, s=0.25) == (
        "2026-01-31T12:00:00.250Z info    session.bound jid=juliet@capulet.example/balcony n=3 ok=true none=- s=0.25\n"
    )


def test_what_is_not_plain_is_in_quotes() -> None:
    assert ' text="a \\"b\\" = c"\n' in logged(text='a "b" = c')
    assert ' text="Ünïcode"\n' in logged(text="Ünïcode")


@pytest.mark.parametrize(
    "hostile", ["x\n2026-01-31T12:00:00.250Z info all.well", "\x1b[2J\x1b]0;title\x07", "\u202eevil", "\r", "\x85", "\u2028", "\ud800"]
)
def test_a_hostile_value_neither_forges_a_line_nor_drives_a_terminal(hostile: str) -> None:
    for line in (
        logged(jid=hostile),
        logged("human", "info", "event", **{hostile: 1}),
        logged(event=hostile),
        logged(jid={hostile: [hostile]}),
        logged(b=hostile.encode(errors="replace")),
    ):
        assert line.endswith("\n")
        assert line[:-1].isprintable()
    assert logged("json", jid=hostile)[:-1].isprintable()


@given(st.text(), st.text(alphabet=st.characters(codec="utf-8"), max_size=20))
def test_whatever_is_logged_is_one_line_that_can_be_taken_apart(value: str, more: str) -> None:
    line = logged(jid=value, more=more)
    assert EVENT.fullmatch(line[:-1])
    if value.isprintable() and 0 < len(value) <= 200:
        shown = re.search(r' jid=("(?:[^"\\]|\\.)*"|\S+)', line)
        assert shown is not None
        assert (json.loads(shown[1]) if shown[1].startswith('"') else shown[1]) == value


def test_a_long_value_is_cut() -> None:
    assert len(logged(jid="x" * 10_000)) < 400


def test_json_is_one_object_a_line() -> None:
    record = json.loads(logged("json", jid="juliet", n=3, deep={"token": "x", "b": b"\xff"}))
    assert record == {
        "time": "2026-01-31T12:00:00.250Z",
        "level": "info",
        "event": "session.bound",
        "jid": "juliet",
        "n": 3,
        "deep": {"token": "***", "b": "\\xff"},
    }


@pytest.mark.parametrize("key", ["password", "new_password", "Secret", "access_token", "stored_key", "server_key", "authorization"])
@pytest.mark.parametrize("form", ["human", "json"])
def test_secrets_are_masked_by_their_key(key: str, form: str) -> None:
    line = logged(form, **{key: "hunter2"}, nested={key: "hunter2"})
    assert "hunter2" not in line
    assert "***" in line


def test_bodies_are_not_shown() -> None:
    assert ' body="(11 not shown)"' in logged(body="Wherefore…!")


def test_a_level_below_the_least_is_not_written() -> None:
    assert logged(level="warning") == ""


def test_what_is_bound_stands_on_each_line_and_on_no_others() -> None:
    stream = io.StringIO()
    log = make_logger("info", "human", stream)
    bound = log.bind(stream="a1")
    bound.info("one")
    log.info("two")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("one stream=a1")
    assert second.endswith("two")


def test_a_traceback_is_indented_below_its_event() -> None:
    stream = io.StringIO()
    try:
        raise ValueError("x\n2026-01-31T12:00:00.250Z info forged\x1b[2J")
    except ValueError:
        make_logger("info", "human", stream, now=lambda: NOON).exception("handler.failed", stanza="m1")
    first, *below = stream.getvalue().splitlines()
    assert first == "2026-01-31T12:00:00.250Z error   handler.failed stanza=m1"
    assert below[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in below)


def test_libraries_are_heard_from_warning_up_and_only_inside_the_block() -> None:
    stream = io.StringIO()
    with stdlib_into(make_logger("info", "human", stream, now=lambda: NOON)):
        logging.getLogger("some.library").info("quiet")
        logging.getLogger("some.library").warning("disk %s", "full")
    logging.getLogger("some.library").info("after")
    assert stream.getvalue() == '2026-01-31T12:00:00.250Z warning library.said library=some.library text="disk full"\n'


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    class Broken(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    make_logger("info", "human", Broken()).info("event")

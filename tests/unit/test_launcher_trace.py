"""One stanza through the logs: `aldis trace` on lines of both forms, and whose stanzas are marked."""

import io
import json
from pathlib import Path

import pytest

from aldis.core.service.logging import make_logger
from aldis.gateway.domain.traced import MOST, Traced
from aldis.launcher.arguments import parser
from aldis.launcher.failure import Failure
from aldis.launcher.trace import run

TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
OTHER = "00-ffffffffffffffffffffffffffffffff-0123456789abcdef-01"


def log(form: str, process: str, at: float, *events: tuple[str, dict[str, str]]) -> str:
    """What a process logs, a millisecond after the other."""
    lines = io.StringIO()
    times = iter(at + n / 1000 for n in range(100))
    logger = make_logger("info", form, lines, now=lambda: next(times)).bind(process=process)
    for event, keys in events:
        logger.info(event, **keys)
    return lines.getvalue()


def hops(trace: str, *names: str) -> list[tuple[str, dict[str, str]]]:
    """Lines about a stanza."""
    return [("stanza.hop", {"hop": name, "trace": trace, "sender": "juliet@localhost/x y", "id": 'a"b'}) for name in names]


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_stanza_is_found_in_the_logs_of_all_processes_in_the_order_of_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    gateway = log(form, "gateway.1", 1_700_000_000.0, *hops(TRACE, "from client"), *hops(OTHER, "from client"))
    router = log(form, "router.1", 1_700_000_000.002, ("shard.owned", {"shard": "0"}), *hops(TRACE, "sender", "recipient"))
    (tmp_path / "r.log").write_text("".join(f"router-1  | {line}" for line in router.splitlines(keepends=True)))
    (tmp_path / "g.log").write_text(gateway)
    files = [str(tmp_path / "r.log"), str(tmp_path / "g.log")]
    for name in (TRACE, TRACE[3:35]):
        assert run(parser().parse_args(["trace", name, *files])) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [line.split("  hop=")[1].split("  ")[0] for line in printed] == ["from client", "sender", "recipient"]
        assert "+0 ms  gateway.1" in printed[0]
        assert "+4 ms  router.1" in printed[2]
        assert 'sender=juliet@localhost/x y  id=a"b' in printed[0]
    assert run(parser().parse_args(["trace", TRACE, *files, "--json"])) == 0
    assert [event["hop"] for event in json.loads(capsys.readouterr().out)["events"]] == ["from client", "sender", "recipient"]


def test_what_can_not_be_followed_is_said(tmp_path: Path) -> None:
    (tmp_path / "g.log").write_text(log("json", "gateway.1", 0.0, *hops(OTHER, "from client")) + "{ no event\n")
    for words, said in (
        ([TRACE, str(tmp_path / "g.log")], "no line is about it"),
        (["xyz"], "is no trace id"),
        ([TRACE, str(tmp_path / "none.log")], "can't be read"),
        (["juliet@localhost", "--seconds", "4000"], "must be 0 to 3600"),
    ):
        with pytest.raises(Failure, match=said):
            run(parser().parse_args(["trace", *words]))


def test_an_account_is_traced_for_its_time_and_no_longer() -> None:
    traced = Traced()
    assert not traced.accounts
    traced.begin("juliet@localhost", 60, 10.0)
    assert traced.has("juliet@localhost", 69.9)
    assert not traced.has("romeo@localhost", 69.9)
    assert not traced.has("juliet@localhost", 70.0)
    assert not traced.accounts, "nothing is looked up any more"
    traced.begin("juliet@localhost", 60, 10.0)
    traced.begin("juliet@localhost", 0, 11.0)
    assert not traced.accounts
    for number in range(2 * MOST):
        traced.begin(f"{number}@localhost", 60, 10.0)
    assert len(traced.accounts) == MOST


def test_standard_input_is_read_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(log("json", "gateway.1", 0.0, *hops(TRACE, "from client"))))
    assert run(parser().parse_args(["trace", TRACE])) == 0
    assert "hop=from client" in capsys.readouterr().out

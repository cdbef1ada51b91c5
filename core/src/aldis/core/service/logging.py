"""Logs: events with keys, one line each, that no value can forge; never bodies, never secrets."""

import json
import logging
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from aldis.core.service.text import one_line, quoted

Logger = FilteringBoundLogger
"""What is handed to whoever logs: `log.info("session.bound", jid=jid)`, `log = log.bind(stream=stream)`."""
Event = MutableMapping[str, Any]

SECRET = frozenset({"password", "passwd", "passphrase", "secret", "token", "credential", "credentials", "authorization", "cookie", "proof"})
SECRET_KEYS = frozenset({"stored_key", "server_key", "client_key", "private_key", "salted_password"})
BODY = frozenset({"body", "subject", "xml", "payload"})


class Stream(Protocol):
    """Where lines go: `sys.stderr`."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def make_logger(level: str, form: str, stream: Stream, *, now: Callable[[], float] = time.time) -> Logger:
    """A logger that writes what is at least `level` to `stream`, `human` or `json`."""
    processors: list[Processor] = [structlog.processors.add_log_level, _Stamp(now), redact, _exception, _json if form == "json" else _human]
    logger = structlog.wrap_logger(
        _Lines(stream), processors=processors, wrapper_class=structlog.make_filtering_bound_logger(level), context_class=dict
    )
    return cast(Logger, logger.bind())


@contextmanager
def stdlib_into(log: Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Send what libraries log by the standard library to `log`, from `level` up, as long as the block runs."""
    root = logging.getLogger()
    before, before_level = root.handlers[:], root.level
    root.handlers, root.level = [_Forward(log)], level
    try:
        yield
    finally:
        root.handlers, root.level = before, before_level


def redact(logger: object, method: str, event: Event) -> Event:
    """Mask what is secret or somebody's words by its key; a guard, not a licence to log them."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    name = str(key).lower()
    if name in SECRET_KEYS or not SECRET.isdisjoint(name.split("_")):
        return "***"
    if name in BODY:
        return f"({len(value) if isinstance(value, str | bytes) else '?'} not shown)"
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    return value


class _Stamp:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        now = self._now()
        milliseconds = int(now * 1000) % 1000
        event["time"] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{milliseconds:03}Z"
        return event


def _exception(logger: object, method: str, event: Event) -> Event:
    """A traceback as text, by structlog's formatter, which shows no local variables."""
    return structlog.processors.format_exc_info(cast(Any, logger), method, event)


def _human(logger: object, method: str, event: Event) -> str:
    """`2026-01-31T12:00:00.000Z info session.bound jid=… stream=…`, and a traceback, indented so that no line of it passes for an event."""
    when, level, name = event.pop("time"), event.pop("level"), event.pop("event")
    trace = event.pop("exception", None)
    keys = "".join(f" {quoted(str(key))}={_value(value)}" for key, value in event.items())
    below = "".join(f"\n    {one_line(row)}" for row in trace.splitlines()) if isinstance(trace, str) else ""
    return f"{when} {level:<7} {quoted(str(name))}{keys}{below}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return quoted(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_text(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, default=_text, ensure_ascii=False)
    return str(value)


def _json(logger: object, method: str, event: Event) -> str:
    """One object a line; everything outside ASCII is escaped."""
    first = {key: event.pop(key) for key in ("time", "level", "event")}
    return json.dumps({**first, **{str(key): value for key, value in event.items()}}, default=_text)


class _Lines:
    """The end of the chain. A log that can't be written must not stop the server, so that is let pass."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line.encode(errors="backslashreplace").decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = exception = msg


class _Forward(logging.Handler):
    """What a library says, as the event `library.said`."""

    def __init__(self, log: Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.log(record.levelno, "library.said", library=record.name, text=record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001  as every handler of the standard library does
            self.handleError(record)

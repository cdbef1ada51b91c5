"""`aldis dead …`: what was put aside since nobody could handle it, to be looked at, tried again or dropped."""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aldis.launcher.configuration import load_settings
from aldis.launcher.failure import Failure
from aldis.launcher.output import say

if TYPE_CHECKING:
    from aldis.core.bus.amqp.dead import DeadLetters, Letter
    from aldis.launcher.settings import AldisSettings


def run(options: argparse.Namespace) -> int:
    """Do it, and say so."""
    settings = load_settings(options.config)
    if not settings.bus.url.get_secret_value():
        raise Failure("bus.url: is empty, and one process has no dead letters: what it can't handle is answered with an error and logged")
    letters = asyncio.run(_run(settings, options))
    if options.json:
        say(json.dumps({"ok": True, "letters": [_plain(letter) for letter in letters]}))
    elif options.action in {"list", "show"}:
        say("\n".join(_lines(letters, whole=options.action == "show")) or "nothing was put aside")
    else:
        say("\n".join(f"{letter.id}: {'replayed' if options.action == 'replay' else 'dropped'}" for letter in letters))
    return 0


async def _run(settings: "AldisSettings", options: argparse.Namespace) -> Sequence["Letter"]:
    from aldis.core.bus.amqp.address import CannotConnect  # noqa: PLC0415  heavy
    from aldis.core.bus.amqp.dead import dead_letters  # noqa: PLC0415
    from aldis.core.bus.port import BusError, NoSuchQueue  # noqa: PLC0415

    try:
        async with dead_letters(settings.bus.url.get_secret_value(), settings.bus.prefix) as held:
            letters = _chosen(await held.look(), options)
            for letter in letters:
                await _do(held, letter, options.action)
            return letters
    except CannotConnect as problem:
        raise Failure(str(problem), code=2 if problem.wrong else 1, condition="broker") from None
    except NoSuchQueue as problem:
        raise Failure(f"the queue {problem} is not there any more; drop the letter", condition="item-not-found") from None
    except BusError as problem:
        raise Failure(str(problem) or type(problem).__name__, condition="broker") from None


async def _do(held: "DeadLetters", letter: "Letter", action: str) -> None:
    if action == "replay":
        await held.replay(letter.id)
    elif action == "drop":
        held.drop(letter.id)


def _chosen(letters: Sequence["Letter"], options: argparse.Namespace) -> Sequence["Letter"]:
    """All of them, or those that were named; each name must be one."""
    if options.action == "list" or (options.action != "show" and options.all):
        return letters
    if not options.ids:
        raise Failure(f"`aldis dead {options.action}` needs the id of a letter, from `aldis dead list`", code=2, condition="bad-request")
    by_id = {letter.id: letter for letter in letters}
    unknown = [name for name in options.ids if name not in by_id]
    if unknown:
        raise Failure(*(f"{name}: there is no such letter" for name in unknown), condition="item-not-found")
    return [by_id[name] for name in dict.fromkeys(options.ids)]


def _lines(letters: Sequence["Letter"], *, whole: bool) -> Iterator[str]:
    for letter in letters:
        yield f"{letter.id}  {_when(letter.at)}  {letter.queue or 'unknown queue'}  {len(letter.contents)} messages  {letter.reason}"
        if whole:
            yield from (f"    {line}" for line in letter.contents)


def _plain(letter: "Letter") -> dict[str, Any]:
    return {name: getattr(letter, name) for name in ("id", "queue", "at", "reason")} | {"contents": list(letter.contents)}


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "unknown time"

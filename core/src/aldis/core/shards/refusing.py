"""A service that refuses: stands in for the real one while a message is taken of which the process died."""

from typing import Any, NoReturn

HANDLERS = frozenset({"bind", "end", "event", "from_session", "orphan", "returned", "routed"})


class Poisoned(Exception):
    """The process died of this message before."""


class Refusing:
    """Raises in every handler, so that its sender is answered as when a handler fails; everything else is the service's."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return _refuse if name in HANDLERS else getattr(self._service, name)


def _refuse(*_: Any) -> NoReturn:
    raise Poisoned("the process died of this before; it is put aside")

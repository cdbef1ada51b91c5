"""Tells gateways up to where what came from their sessions is done."""

from collections.abc import Callable, Iterable, Mapping

from aldis.core.shards.keeper import Keeper
from aldis.core.shards.output import Output
from aldis.core.shards.sessions import Session
from aldis.core.shards.turn import Turn, Turns


class Telling:
    """One owner's."""

    def __init__(self, output: Output, sessions: Mapping[str, Session], keeper: Keeper, resumed: Callable[[Session], None]) -> None:
        """`resumed` is told of each session of which more is committed."""
        self._output = output
        self._sessions = sessions
        self._keeper = keeper
        self._resumed = resumed
        keeper.told = self._told

    def tell(self, turns: Iterable[Turn]) -> None:
        """Tell the gateways what is done, before the broker: what it forgets, the next owner must know from somebody."""
        over: list[Turn] = []
        for turn in turns:
            if turn.told:
                continue
            if turn.pending or self._output.dead:
                break
            turn.told = True
            if turn.handled:
                over.append(turn)
        if not over:
            return
        gateways: dict[str, dict[str, int]] = {}
        for turn in over:
            for session_id, (asked, n) in turn.handled.items():
                session = self._sessions.get(session_id)
                gateway = asked if session is None else session.gateway  # where it has gone on meanwhile
                gateways.setdefault(gateway, {})[session_id] = n
        receipt = Turns(over)
        for gateway, sessions in gateways.items():
            if self._keeper.journal:
                self._keeper.handled(sessions)
            else:
                self._tell_gateway(gateway, sessions, receipt)

    def _tell_gateway(self, gateway: str, sessions: dict[str, int], receipt: Turns) -> None:
        for session_id, n in sessions.items():
            session = self._sessions.get(session_id)
            if session is not None:
                session.handled = n
                if not gateway:
                    self._keeper.handled_for(session, n, receipt)
        if gateway:
            self._output.handled(gateway, tuple(sessions.items()), receipt)

    def _told(self, handled: dict[str, int]) -> None:
        """It is committed that all this is handled, with what it caused: tell the clients."""
        gateways: dict[str, dict[str, int]] = {}
        for session_id, n in handled.items():
            session = self._sessions.get(session_id)
            if session is not None:
                session.handled = n
                gateways.setdefault(session.gateway, {})[session_id] = n
                self._resumed(session)
        for gateway, sessions in gateways.items():
            if gateway:
                self._output.handled(gateway, tuple(sessions.items()), None)

"""How the running server is, as data: for `aldis status` and for what `aldis serve` says when it is ready."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from aldis.core.service.settings import show
from aldis.core.storage import StorageUnavailable
from aldis.gateway.net.certificate_files import fingerprint
from aldis.launcher.assemble import OneProcess
from aldis.launcher.control_server import Answer
from aldis.launcher.version import installed


class Report:
    """Looks at the parts of one process."""

    def __init__(self, house: OneProcess) -> None:
        self._house = house
        self._began = house.host.clock.now()

    async def answer(self, question: Mapping[str, Any]) -> Answer:
        """Answer `{"sessions": true}`, with every session if that is true."""
        house = self._house
        settings = house.host.settings
        sessions = self._sessions()
        answer: Answer = {
            "ok": True,
            "version": installed(),
            "pid": os.getpid(),
            "uptime_seconds": round(house.host.clock.now() - self._began, 1),
            "domains": list(settings.domains),
            "listening": self.listening(),
            "sessions": len(sessions),
            "shards": [],
            "database": next(str(shown.value) for shown in show(settings) if shown.name == "database.url"),
            "data_dir": str(settings.data_dir.absolute()),
            "certificates": self.certificates(),
        }
        try:
            owners = (await house.registry.view()).owners
            states = {state.shard: msgspec.to_builtins(state) for router in house.routers for state in router.shards()}
            answer["shards"] = [
                {"shard": shard, "epoch": owned.epoch, "owner": owned.owner} | states.get(shard, {}) for shard, owned in owners.items()
            ]
        except StorageUnavailable as error:
            answer["database_problem"] = str(error)
        if question.get("sessions") is True:
            answer["session_list"] = sessions
        return answer

    def listening(self) -> list[dict[str, Any]]:
        """What clients connect to."""
        host = self._house.host.settings.c2s.host
        found = []
        for gateway in self._house.gateways:
            ports = gateway.ports()
            for name, port in (("STARTTLS", ports.port), ("TLS", ports.tls_port)):
                if port:
                    found.append({"name": name, "host": host, "port": port})
        return found

    def certificates(self) -> list[dict[str, Any]]:
        """The certificates that are shown to clients, with how long they are good."""
        house = self._house
        now = house.host.clock.time()
        dates = {path: date for gateway in house.gateways for path, date in gateway.status().certificates.items()}
        own = house.host.settings.tls.certificate is None
        return [
            {
                "path": path,
                "self_signed": own,
                "expires": datetime.fromtimestamp(date, UTC).isoformat(),
                "expires_in_seconds": int(date - now),
                "sha256": fingerprint(Path(path)),
            }
            for path, date in dates.items()
        ]

    def _sessions(self) -> list[dict[str, Any]]:
        users = (session for router in self._house.routers for sessions in router.users().values() for session in sessions)
        return [{"jid": session.jid, "peer": session.peer} for session in users]

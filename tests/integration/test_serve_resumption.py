"""XEP-0198 over a restart of `aldis serve`: the one process and its gateway end in order, and clients go on."""

from pathlib import Path

from aldis.core.testing.actor import Actor
from aldis.core.testing.wire import Doors, TcpWire, trusting
from tests.integration.launched import Site

PEOPLE = {"juliet@localhost": "x", "romeo@localhost": "y"}


def message(to: Actor, body: str) -> str:
    return f"<message to='{to.jid}' type='chat'><body>{body}</body></message>"


def from_(sender: Actor, body: str) -> str:
    return f"<message from='{sender.jid}' type='chat'><body>{body}</body></message>"


async def test_clients_go_on_after_a_restart_and_miss_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    doors = Doors(site.port, site.tls_port)
    actors = []
    with site.serving() as server:
        for account, password in PEOPLE.items():
            site.aldis("user", "add", account, "--password", password)
        context = trusting(str(site.data / "self-signed.crt"))
        for account, password in PEOPLE.items():
            actor = Actor(account, password, doors, lambda: TcpWire(context))
            await actor.arrives(doors)
            await actor.binds("home")
            await actor.appears()
            await actor.enables()
            actors.append(actor)
        juliet, romeo = actors
        await romeo.sends(message(juliet, "one"))
        await juliet.receives(from_(romeo, "one"))
        await romeo.is_acknowledged()
        await juliet.vanishes()
        juliet.counting.h = 0  # it was lost on the way
        await romeo.sends(message(juliet, "two"))
        await romeo.is_acknowledged()
        assert server.stop() == 0
        await romeo.is_told("system-shutdown")
    with site.serving():
        await romeo.resumes(doors)
        await romeo.sends(message(juliet, "three"))
        await romeo.is_acknowledged()
        await juliet.resumes(doors)
        for body in ("one", "two", "three"):
            await juliet.receives(from_(romeo, body))
        await juliet.receives_nothing()
        await romeo.receives_nothing()

"""A chat client made of slixmpp: JSON commands in on standard input, what happens out on standard output, a line each."""

import asyncio
import json
import logging
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

PLUGINS = ("xep_0030", "xep_0077", "xep_0115", "xep_0199")
DEFAULTS = {"resource": "", "direct": False, "tls12": False, "ca_certs": None, "register": False, "mechanism": None, "managed": False}


def tell(event: str, **keys: Any) -> None:
    """Say that something happened."""
    sys.stdout.write(json.dumps({"event": event, **keys}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Client(slixmpp.ClientXMPP):
    """One user's session; every stanza that comes in is told as it comes."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Take the options of the command line, over `DEFAULTS`."""
        self._options = options = {**DEFAULTS, **options}
        jid = f"{options['jid']}/{options['resource']}" if options["resource"] else options["jid"]
        super().__init__(jid, options["password"], sasl_mech=options["mechanism"])
        self.auto_authorize, self.auto_subscribe = None, False
        # Only this one way to connect, so that nothing else is tried when it fails.
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = options["direct"], not options["direct"], False
        if options["ca_certs"]:
            self.ca_certs = Path(options["ca_certs"])
        if options["tls12"]:
            self.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        for name in PLUGINS:
            self.register_plugin(name)
        self["xep_0077"].create_account = options["register"]
        if options["managed"]:
            self.register_plugin("xep_0198")
        self._listen()

    def _listen(self) -> None:
        handlers: dict[str, Callable[[Any], Any]] = {
            "session_start": self._started,
            "disconnected": lambda reason: tell("disconnected", reason=str(reason or "")),
            "failed_auth": lambda stanza: tell("failed_auth", condition=stanza["condition"], text=stanza["text"]),
            "failed_all_auth": lambda _: tell("failed_all_auth"),
            "ssl_invalid_chain": lambda error: tell("certificate_refused", error=str(error)),
            "connection_failed": self._unconnected,
            "stream_error": lambda error: tell("stream_error", condition=error["condition"], text=error["text"]),
            "message": self._message,
            "message_error": self._message,
            "presence": self._presence,
            "sm_enabled": lambda enabled: tell("sm_enabled", resumable=bool(enabled["id"])),
            "sm_failed": lambda _: tell("sm_failed"),
            "session_resumed": lambda resumed: tell("session_resumed", h=resumed["h"]),
        }
        if self._options["register"]:
            handlers["register"] = self._register
        for name, handler in handlers.items():
            self.add_event_handler(name, handler)
        self.register_handler(Callback("roster pushes", StanzaPath("iq@type=set/roster"), self._pushed))

    async def _started(self, _: Any) -> None:
        await self["xep_0115"].update_caps(broadcast=False)
        assert self.transport is not None
        tls = self.transport.get_extra_info("ssl_object")
        tell(
            "started",
            jid=self.boundjid.full,
            mechanism=self["feature_mechanisms"].mech.name,
            offered=sorted(self["feature_mechanisms"].mech_list),
            tls=tls.version(),
            cipher=tls.cipher()[0],
            verified=tls.context.verify_mode is ssl.CERT_REQUIRED and tls.context.check_hostname,
        )

    def _unconnected(self, error: Any) -> None:
        tell("connection_failed", error=str(error))
        self.cancel_connection_attempt()  # or it tries again for ever

    def _message(self, message: Any) -> None:
        condition = message["error"]["condition"] if message["type"] == "error" else None
        tell("message", sender=message["from"].full, type=message["type"], body=message["body"], error=condition)

    def _presence(self, presence: Any) -> None:
        tell(
            "presence",
            sender=presence["from"].full,
            type=presence.xml.get("type", ""),
            show=presence.xml.findtext("{jabber:client}show", ""),
            status=presence["status"],
            priority=presence["priority"],
        )

    def _pushed(self, iq: Any) -> None:
        for jid, item in iq["roster"]["items"].items():
            tell("pushed", jid=jid.full, **_item(item))

    async def _register(self, _: Any) -> None:
        iq: Any = self.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self._options["password"]
        try:
            await iq.send()
            tell("registered")
        except IqError as error:
            tell("registration_refused", condition=error.condition, text=error.text)
            await self.disconnect()

    # ── commands, whose answer is told when it is there ──

    async def do_connect(self, **changes: Any) -> None:
        """Connect, the first time or again."""
        if "password" in changes:
            self.password = changes["password"]
        self._attempt = self.connect(self._options["host"], self._options["port"])

    async def do_disconnect(self) -> None:
        """Close the stream, and wait for the server to do so too."""
        await self.disconnect()

    async def do_abort(self) -> None:
        """Drop the connection without a word."""
        self.abort()

    async def do_break(self) -> None:
        """Lose the connection as a network does: nothing more is sent, the stream is not closed, and slixmpp does not know why."""
        assert self.transport is not None
        self.transport.abort()

    async def do_presence(self, **keys: Any) -> None:
        """Send presence; the names are those of slixmpp's `send_presence`."""
        self.send_presence(**keys)

    async def do_message(self, to: str, body: str) -> None:
        """Say something."""
        self.send_message(mto=slixmpp.JID(to), mbody=body, mtype="chat")

    async def do_roster(self) -> dict[str, Any]:
        """Fetch the roster from the server."""
        iq: Any = self.Iq()
        iq["type"] = "get"
        iq.enable("roster")
        answer = await iq.send()
        return {jid.full: _item(item) for jid, item in answer["roster"]["items"].items()}

    async def do_roster_set(self, jid: str, name: str, groups: list[str]) -> None:
        """Name a contact and put it into groups."""
        answer: Any = self.update_roster(slixmpp.JID(jid), name=name, groups=groups)
        await answer

    async def do_roster_remove(self, jid: str) -> None:
        """Remove a contact."""
        answer: Any = self.client_roster.remove(slixmpp.JID(jid))
        await answer

    async def do_disco(self, jid: str) -> dict[str, Any]:
        """Ask what something is and can."""
        info = (await self["xep_0030"].get_info(jid=jid))["disco_info"]
        return {"identities": sorted(f"{each[0]}/{each[1]}" for each in info["identities"]), "features": sorted(info["features"])}

    async def do_ping(self, jid: str) -> None:
        """Ping something."""
        await self["xep_0199"].send_ping(jid)

    async def do_change_password(self, password: str) -> None:
        """Change this user's password by XEP-0077."""
        await self["xep_0077"].change_password(password, jid=self.boundjid.domain)

    async def do_unregister(self) -> None:
        """Delete this user's account by XEP-0077."""
        await self["xep_0077"].cancel_registration(jid=self.boundjid.domain)


def _item(item: Any) -> dict[str, Any]:
    return {"name": item["name"], "subscription": item["subscription"], "ask": item["ask"], "groups": sorted(item["groups"])}


async def obey(client: Client) -> None:
    """Do what each line says, one after the other, until standard input ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        number, name = command.pop("n"), command.pop("do")
        try:
            tell("done", n=number, answer=await getattr(client, f"do_{name}")(**command))
        except IqError as error:
            tell("done", n=number, error=error.condition, type=error.etype, text=error.text)
        except IqTimeout:
            tell("done", n=number, error="no answer")


async def main() -> None:
    """Be one client from beginning to end."""
    logging.basicConfig(level=logging.DEBUG, format="%(relativeCreated)d %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    tell("ready", pid=os.getpid(), slixmpp=slixmpp.__version__, python=sys.version.split()[0], openssl=ssl.OPENSSL_VERSION)
    client = Client(json.loads(sys.argv[1]))
    await obey(client)
    if client.is_connected():
        await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main())

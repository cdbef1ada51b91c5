"""`bus.url`: where the broker is and as whom to log in; what is wrong with it is said in one line without the password."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from aldis.core.bus.port import BusError

FORM = "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://…?ca=FILE"


class CannotConnect(BusError):
    """Why there is no connection: one line that names `bus.url`, without the password.

    `wrong` when trying again can't help, because the settings are wrong.
    """

    def __init__(self, line: str, *, wrong: bool = False) -> None:
        super().__init__(line)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Address:
    """A broker, and a user of it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __str__(self) -> str:
        """As it may be logged: without the password."""
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{self.user}@{host}:{self.port}/{'' if self.vhost == '/' else self.vhost}"

    def context(self) -> ssl.SSLContext | None:
        """TLS with the host's name and the certificate authority checked; None without TLS."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        except (OSError, ssl.SSLError) as error:
            raise self.wrong(f"the certificate authority {self.ca} can't be read ({_why(error)}); mend ca=") from None
        if self.certificate:
            try:
                context.load_cert_chain(self.certificate, self.key or None)
            except (OSError, ssl.SSLError) as error:
                what = f"the certificate {self.certificate} or its key can't be used ({_why(error)}); mend certificate= and key="
                raise self.wrong(what) from None
        return context

    def wrong(self, what: str) -> CannotConnect:
        """A mistake in the settings."""
        return CannotConnect(f"bus.url ({self}): {what}", wrong=True)

    def away(self, what: str) -> CannotConnect:
        """What may be better later."""
        return CannotConnect(f"bus.url ({self}): {what}")


def _why(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).splitlines()[0]


def parse(url: str) -> Address:
    """Read the setting; raises `ValueError` with the mend, and without what the url holds."""
    parts = urlsplit(url)
    if parts.scheme not in ("amqp", "amqps"):
        raise ValueError(f"must begin with amqp:// or amqps://; use {FORM}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"has no port that can be: 1 to 65535; use {FORM}") from None
    if not parts.hostname:
        raise ValueError(f"names no host; use {FORM}")
    tls = parts.scheme == "amqps"
    extra = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(extra.keys() - {"ca", "certificate", "key"})
    if unknown:
        raise ValueError(f"has ?{unknown[0]}=, which means nothing here; there are ca=, certificate= and key=")
    if extra and not tls:
        raise ValueError(f"has ?{min(extra)}= without TLS; use amqps:// or leave it out")
    for name, file in sorted(extra.items()):
        if not Path(file).is_file():
            raise ValueError(f"has {name}={file}, which is no file; mend it or leave it out")
    path = unquote(parts.path[1:])
    return Address(
        parts.hostname,
        port or (5671 if tls else 5672),
        unquote(parts.username or "guest"),
        unquote(parts.password or "guest"),
        path or "/",
        tls,
        extra.get("ca", ""),
        extra.get("certificate", ""),
        extra.get("key", ""),
    )

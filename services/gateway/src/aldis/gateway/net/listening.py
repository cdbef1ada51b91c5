"""Sockets that listen, on one address or on all of them."""

import errno
import socket
from collections.abc import Iterator

from aldis.gateway.settings import EVERYWHERE

BACKLOG = 512


class CannotListen(Exception):
    """A port cannot be had; the text is one line with the setting and the mend."""


def listen(host: str, port: int, setting: str) -> list[socket.socket]:
    """Listen on every address that `host` stands for; raises `CannotListen`."""
    found: list[socket.socket] = []
    problem: OSError | None = None
    try:
        addresses = list(_addresses(host, port))
    except OSError as error:
        raise CannotListen(f"c2s.host: {host} is no address of this machine ({error.strerror or error}); give one, or *") from None
    for family, address in addresses:
        try:
            found.append(_socket(family, address))
        except OSError as error:
            if host == EVERYWHERE and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # a machine without IPv6, or without IPv4
            problem = error
    if problem is None and found:
        return found
    for sock in found:
        sock.close()
    raise CannotListen(f"{setting}: cannot listen on {host} port {port}: {_mend(problem)}")


def _mend(problem: OSError | None) -> str:
    if problem is None:
        return "this machine has neither IPv4 nor IPv6"
    if problem.errno == errno.EADDRINUSE:
        return "another program listens there; stop it or set another port"
    if problem.errno == errno.EACCES:
        return "this user may not use ports below 1024; set a higher one"
    return f"{problem.strerror}; set another c2s.host or port"


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[str, int]]]:
    if host == EVERYWHERE:
        yield socket.AF_INET6, ("::", port)
        yield socket.AF_INET, ("0.0.0.0", port)  # noqa: S104  that is what was asked for
        return
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        yield family, (str(address[0]), port)


def _socket(family: int, address: tuple[str, int]) -> socket.socket:
    # named as TCP, because asyncio sets TCP_NODELAY on nothing else: without it each answer may wait 40 ms for the peer's delayed ACK
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock

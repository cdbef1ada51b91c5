"""What the settings alone don't show: whether the files they name are there and fit, and whether hosts are addresses."""

import socket
from collections.abc import Iterator

from aldis.gateway.settings import EVERYWHERE
from aldis.launcher.failure import Failure
from aldis.launcher.settings import AldisSettings


def check(settings: AldisSettings, *, code: int) -> None:
    """Raise a `Failure` with a line for whatever the services would refuse at their start; makes nothing."""
    problems = [*_hosts(settings), *_certificate(settings)]
    if problems:
        raise Failure(*problems, code=code, condition="wrong-settings")


def _hosts(settings: AldisSettings) -> Iterator[str]:
    for name, host in (("c2s.host", settings.c2s.host), ("metrics.host", settings.metrics.host if settings.metrics.port else EVERYWHERE)):
        if host == EVERYWHERE:
            continue
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, ValueError) as error:  # ValueError: what no name can be, such as a label of 64 characters
            reason = (error.strerror if isinstance(error, OSError) else None) or "it can be no name"
            yield f'{name} = "{host}": is no address, and no name that leads to one ({reason}); give an address such as 127.0.0.1'


def _certificate(settings: AldisSettings) -> Iterator[str]:
    if settings.tls.certificate is None or settings.tls.key is None:
        return
    from aldis.gateway.net.certificates import CertificateProblem, load_context  # noqa: PLC0415  OpenSSL is heavy

    try:
        load_context(settings.tls.certificate, settings.tls.key)
    except CertificateProblem as problem:
        yield str(problem)

"""The certificates of a listener: loaded together, watched, and swapped without a restart (RFC 6120 §13.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL

from aldis.gateway.net.certificate_files import CertificateFiles, CertificateProblem, ServerCertificate, load_context
from aldis.gateway.net.certificate_names import uncovered
from aldis.gateway.net.certificate_self_signed import ensure_self_signed
from aldis.gateway.net.tls_context import XMPP_CLIENT, TlsContexts

__all__ = [
    "CertificateFiles",
    "CertificateProblem",
    "CertificateStore",
    "ServerCertificate",
    "ensure_self_signed",
    "load_context",
]

_Stamp = tuple[int, int, int] | None


class CertificateStore:
    """Holds the contexts for new connections and replaces them, all or none, when the files changed.

    The shell calls `changed()` each minute and `reload()` when it is true or on SIGHUP; it hands `contexts` to each new TlsLayer,
    which keeps them. A bad new file leaves the old contexts in place: the server goes on with what clients know.
    """

    __slots__ = ("_certificates", "_clock", "_contexts", "_domains", "_files", "_protocols", "_stamps")

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        domains: Sequence[str],
        *,
        protocols: Sequence[bytes] = (XMPP_CLIENT,),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Load all files; the first certificate is for clients that name no server. Raises `CertificateProblem`."""
        if not files:
            raise CertificateProblem("tls.certificate: no certificate is set; give its path, or unset tls to have one made")
        self._files = tuple(files)
        self._domains = tuple(domains)
        self._protocols = tuple(protocols)
        self._clock = clock
        self._stamps = self._stat()
        self._certificates = self._load()
        self._contexts = self._join(self._certificates)

    @property
    def contexts(self) -> TlsContexts:
        """The contexts for a connection that begins now."""
        return self._contexts

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong but can be lived with: dates, open key files, domains for which no certificate stands."""
        found = [warning for certificate in self._certificates for warning in certificate.warnings]
        found += [
            f"tls.certificate: no certificate is for {domain}; clients of that domain will refuse or warn: add the name to one"
            for domain in uncovered(self._domains, (certificate.names for certificate in self._certificates))
        ]
        return tuple(found)

    def expiry(self) -> dict[str, float]:
        """When each certificate ends, by its path, in seconds since 1970, for aldis_certificate_expiry_seconds."""
        pairs = zip(self._files, self._certificates, strict=True)
        return {str(files.certificate): certificate.expires.timestamp() for files, certificate in pairs}

    def changed(self) -> bool:
        """Tell whether a file is another than when it was last read or tried, by time, size and inode."""
        return self._stat() != self._stamps

    def reload(self) -> CertificateProblem | None:
        """Read all files again and use them from the next connection on; a problem is returned and changes nothing."""
        self._stamps = self._stat()  # first, so that what changes while we read is seen by the next poll
        try:
            certificates = self._load()
        except CertificateProblem as problem:
            return problem
        self._certificates = certificates
        self._contexts = self._join(certificates)
        return None

    def _load(self) -> tuple[ServerCertificate, ...]:
        now = self._clock()
        return tuple(
            load_context(files.certificate, files.key, setting=files.setting, protocols=self._protocols, now=now) for files in self._files
        )

    @staticmethod
    def _join(certificates: Sequence[ServerCertificate]) -> TlsContexts:
        by_name: dict[str, SSL.Context] = {}
        for certificate in certificates:
            for name in certificate.names:
                by_name.setdefault(name, certificate.context)
        return TlsContexts.of(certificates[0].context, by_name)

    def _stat(self) -> tuple[_Stamp, ...]:
        return tuple(_stamp(path) for files in self._files for path in (files.certificate, files.key))


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()  # of what a symbolic link leads to: ACME clients move links
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""Which domains a certificate stands for: RFC 6120 §13.7.1.2 (DNS-ID, SRV-ID), RFC 6125 §6.4.3 (wildcards), RFC 4985 (SRVName)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import idna
from cryptography import x509

SRV_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # id-on-dnsSRV
CLIENT_SERVICE = "_xmpp-client."
_IA5_STRING = 0x16


def ascii_domain(domain: str) -> str:
    """Write a domain as certificates do: lower case A-labels; what IDNA refuses stays as it is, for the settings to judge."""
    name = domain.lower().rstrip(".")
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return name


def alternative_names(domains: Iterable[str]) -> list[x509.GeneralName]:
    """List the names of a certificate for these domains: a DNS-ID and a `_xmpp-client` SRV-ID each, addresses for localhost."""
    names: list[x509.GeneralName] = []
    for domain in dict.fromkeys(map(ascii_domain, domains)):
        address = _address(domain)
        if address is not None:
            names.append(x509.IPAddress(address))
            continue
        names.append(x509.DNSName(domain))
        names.append(x509.OtherName(SRV_NAME, _ia5(CLIENT_SERVICE + domain)))
        if domain == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            names.append(x509.IPAddress(ipaddress.ip_address("::1")))
    return names


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the domains, wildcards and addresses for which a client may take this certificate; a common name is none of them."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    found = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    found.update(str(address) for address in names.get_values_for_type(x509.IPAddress))
    for other in names.get_values_for_type(x509.OtherName):
        if other.type_id == SRV_NAME and (service := _text_of_ia5(other.value)).startswith(CLIENT_SERVICE):
            found.add(service.removeprefix(CLIENT_SERVICE))
    return frozenset(found)


def covers(names: frozenset[str], domain: str) -> bool:
    """Tell whether one of the names is the domain, or a wildcard for its left-most label and no more."""
    name = ascii_domain(domain).strip("[]")
    return name in names or "*." + name.partition(".")[2] in names


def uncovered(domains: Sequence[str], names: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """Return those of our domains that no certificate stands for."""
    held = tuple(names)
    return tuple(domain for domain in domains if not any(covers(of, domain) for of in held))


def _address(domain: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return None


def _ia5(text: str) -> bytes:
    """Write a DER IA5String; a domain has at most 255 bytes, so that its length fits the short form or one more byte."""
    value = text.encode("ascii")
    length = bytes((len(value),)) if len(value) < 0x80 else bytes((0x81, len(value)))
    return bytes((_IA5_STRING,)) + length + value


def _text_of_ia5(der: bytes) -> str:
    """Read what `_ia5` writes; anything else is empty, since the certificate is somebody else's and names nobody this way."""
    if len(der) < 2 or der[0] != _IA5_STRING:
        return ""
    start = 3 if der[1] == 0x81 else 2
    return der[start:].decode("ascii", "replace").lower()

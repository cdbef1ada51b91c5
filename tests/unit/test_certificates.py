"""Certificates: made on the first run, checked with a mend for each fault, and swapped while connections live."""

import contextlib
import hashlib
import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from aldis.gateway.net.certificate_names import covers, names_of
from aldis.gateway.net.certificates import CertificateFiles, CertificateProblem, CertificateStore, ensure_self_signed, load_context
from aldis.gateway.net.tls import TlsLayer
from aldis.gateway.net.tls_binding import end_point

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Authority:
    """Makes certificates as an operator's CA would."""

    def __init__(self, name: str = "Root", issuer: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = issuer or self
        builder = _builder(self.name, above.name, self.key, NOW).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = builder.sign(above.key, hashes.SHA256())

    def issue(self, names: Sequence[str], key: Key, *, begin: datetime = NOW) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        names_extension = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        return _builder(subject, self.name, key, begin).add_extension(names_extension, critical=False).sign(self.key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, begin: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + timedelta(days=90))


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def write(directory: Path, certificate: bytes, key: bytes) -> tuple[Path, Path]:
    paths = directory / "fullchain.pem", directory / "privkey.pem"
    for path, data in zip(paths, (certificate, key), strict=True):
        path.write_bytes(data)
        path.chmod(0o600)
    return paths


def fresh_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


# ── made by ourselves ──


def test_the_first_run_makes_a_p256_certificate_for_each_domain(tmp_path: Path) -> None:
    certificate, key = ensure_self_signed(tmp_path / "new", ["localhost", "capulet.lit", "Bücher.example"], now=NOW)
    made = read(certificate)
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "capulet.lit", "xn--bcher-kva.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    services = {other.value for other in names.get_values_for_type(x509.OtherName)}
    assert b"\x16\x18_xmpp-client.capulet.lit" in services
    assert made.not_valid_after_utc - made.not_valid_before_utc <= timedelta(days=825)
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["self-signed.crt", "self-signed.key"]


def test_a_long_domain_keeps_a_well_formed_service_name(tmp_path: Path) -> None:
    domain = ".".join(["a" * 60] * 3)
    certificate, _ = ensure_self_signed(tmp_path, [domain], now=NOW)
    names = read(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (service,) = names.get_values_for_type(x509.OtherName)
    assert service.value == b"\x16\x81" + bytes((len(domain) + 13,)) + b"_xmpp-client." + domain.encode()
    assert names_of(read(certificate)) == {domain}


def test_it_is_kept_while_nothing_changes_and_made_again_with_the_same_key_when_the_domains_do(tmp_path: Path) -> None:
    certificate, key = ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    first, secret = certificate.read_bytes(), key.read_bytes()
    ensure_self_signed(tmp_path, ["localhost"], now=NOW + timedelta(days=700))
    assert certificate.read_bytes() == first
    ensure_self_signed(tmp_path, ["localhost", "capulet.lit"], now=NOW)
    assert "capulet.lit" in names_of(read(certificate))
    assert key.read_bytes() == secret


def test_it_is_made_again_a_month_before_it_expires_and_when_its_key_is_lost(tmp_path: Path) -> None:
    certificate, key = ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    first = certificate.read_bytes()
    ensure_self_signed(tmp_path, ["localhost"], now=NOW + timedelta(days=800))
    second = certificate.read_bytes()
    assert second != first
    key.unlink()
    ensure_self_signed(tmp_path, ["localhost"], now=NOW + timedelta(days=800))
    assert certificate.read_bytes() != second
    assert load_context(certificate, key).names == {"localhost", "127.0.0.1", "::1"}


def test_an_operators_file_is_never_overwritten(tmp_path: Path) -> None:
    certificate = tmp_path / "self-signed.crt"
    key = tmp_path / "self-signed.key"
    secret = fresh_key()
    certificate.write_bytes(pem(Authority().issue(["old.lit"], secret)))
    key.write_bytes(key_pem(secret))
    before = certificate.read_bytes(), key.read_bytes()
    assert ensure_self_signed(tmp_path, ["localhost"], now=NOW) == (certificate, key)
    assert (certificate.read_bytes(), key.read_bytes()) == before
    key.unlink()
    with pytest.raises(
        CertificateProblem, match=r"data_dir: .*self-signed\.crt was not made by aldis, and self-signed\.key is not beside it; "
    ):
        ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    assert certificate.read_bytes() == before[0]


def test_rubbish_in_place_of_the_certificate_is_a_problem_and_stays(tmp_path: Path) -> None:
    certificate, _ = ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    certificate.write_bytes(b"rubbish")
    with pytest.raises(CertificateProblem, match=r"data_dir: .*self-signed\.crt is no certificate; remove it, and a new one is made"):
        ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    assert certificate.read_bytes() == b"rubbish"


@pytest.mark.parametrize("left", [None, b"", b"\n"], ids=["missing", "empty", "blank"])
@pytest.mark.parametrize("suffix", ["crt", "key"])
def test_what_is_missing_or_empty_of_our_own_is_made_again(tmp_path: Path, left: bytes | None, suffix: str) -> None:
    files = ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    damaged = tmp_path / f"self-signed.{suffix}"
    damaged.unlink()
    if left is not None:
        damaged.write_bytes(left)
    assert ensure_self_signed(tmp_path, ["localhost"], now=NOW) == files
    assert load_context(*files, now=NOW).warnings == ()


def test_a_key_that_is_none_of_ours_is_a_problem_and_stays(tmp_path: Path) -> None:
    key = tmp_path / "self-signed.key"
    key.write_bytes(b"rubbish")
    with pytest.raises(CertificateProblem, match=r"data_dir: .*self-signed\.key is no key made by aldis; remove it"):
        ensure_self_signed(tmp_path, ["localhost"], now=NOW)
    assert key.read_bytes() == b"rubbish"


def test_a_folder_that_cannot_be_made_is_a_problem_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CertificateProblem, match=r"data_dir: .* cannot be written"):
        ensure_self_signed(tmp_path / "file" / "below", ["localhost"], now=NOW)


def test_a_strict_client_that_is_given_it_trusts_it(tmp_path: Path) -> None:
    files = ensure_self_signed(tmp_path, ["localhost"])
    client = ssl.create_default_context(cafile=str(files[0]))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    for name in ("localhost", "127.0.0.1", "::1"):
        store = CertificateStore([CertificateFiles(*files)], ["localhost"])
        assert _shown(TlsLayer(store.contexts), client, name) == read(files[0]).public_bytes(serialization.Encoding.DER)


# ── given by the operator ──


def test_a_chain_in_order_is_taken_with_its_names_and_date(tmp_path: Path) -> None:
    root = Authority()
    middle = Authority("Intermediate", root)
    key = fresh_key()
    paths = write(tmp_path, pem(middle.issue(["capulet.lit", "*.capulet.lit"], key), middle.certificate, root.certificate), key_pem(key))
    loaded = load_context(*paths, now=NOW)
    assert loaded.names == {"capulet.lit", "*.capulet.lit"}
    assert loaded.expires == NOW + timedelta(days=90)
    assert loaded.warnings == ()


def test_rsa_is_taken_too(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    paths = write(tmp_path, pem(Authority().issue(["capulet.lit"], key)), key_pem(key))
    assert load_context(*paths, now=NOW).names == {"capulet.lit"}


_ROOT = Authority()
_MIDDLE = Authority("Intermediate", _ROOT)
_KEY, _OTHER = fresh_key(), fresh_key()
_LEAF = _MIDDLE.issue(["capulet.lit"], _KEY)
_WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 the fault under test
_DER = serialization.Encoding.DER


FAULTS = [
    (b"", key_pem(_KEY), r"tls\.certificate: .*fullchain\.pem is not PEM; it must hold"),
    (b"hello", key_pem(_KEY), r"tls\.certificate: .*fullchain\.pem is not PEM; it must hold"),
    (_LEAF.public_bytes(_DER), key_pem(_KEY), r"tls\.certificate: .* is DER, not PEM; convert it: openssl x509"),
    (key_pem(_KEY), pem(_LEAF), r"tls\.certificate: .* holds a private key and no certificate; is tls\.key the other file\?"),
    (pem(_LEAF), pem(_LEAF), r"tls\.key: .* holds a certificate and no private key; is tls\.certificate the other file\?"),
    (pem(_LEAF), b"hello", r"tls\.key: .*privkey\.pem is not a PEM private key"),
    (pem(_LEAF), key_pem(_KEY, b"secret"), r"tls\.key: .* is encrypted.*openssl pkey -in OLD -out NEW"),
    (pem(_LEAF), key_pem(_OTHER), r"tls\.key: .*privkey\.pem does not belong to the certificate in .*fullchain\.pem"),
    (pem(_MIDDLE.certificate, _LEAF), key_pem(_KEY), r"tls\.certificate: .* \(the server's is number 2\); put the server's first"),
    (
        pem(_LEAF, _ROOT.certificate, _MIDDLE.certificate),
        key_pem(_KEY),
        r"certificate 1 was not issued by certificate 2; put the server's",
    ),
    (pem(_MIDDLE.issue(["a.lit"], _WEAK)), key_pem(_WEAK), r"OpenSSL refuses .*key too small.*use ECDSA P-256 or RSA 2048"),
]


@pytest.mark.parametrize(("certificate", "key", "problem"), FAULTS)
def test_each_fault_names_its_setting_and_its_mend_in_one_line(tmp_path: Path, certificate: bytes, key: bytes, problem: str) -> None:
    with pytest.raises(CertificateProblem, match=problem) as raised:
        load_context(*write(tmp_path, certificate, key), now=NOW)
    assert "\n" not in str(raised.value)


def test_a_fault_found_at_a_reload_leaves_no_trace_in_openssl_for_the_connections_that_live(tmp_path: Path, blind: ssl.SSLContext) -> None:
    """OpenSSL's error queue is one for the thread, and a left-over entry would make the next half record look like a failure."""
    store = store_of(write(tmp_path, pem(_LEAF), key_pem(_KEY)))
    layer = TlsLayer(store.contexts)
    client = _Client(layer, blind, "capulet.lit")
    for certificate, key, problem in FAULTS:
        write(tmp_path, certificate, key)
        assert re.search(problem, str(store.reload()))
        record = client.send(b"<message/>")
        assert layer.receive(record[:9]) == b""
        assert layer.receive(record[9:]) == b"<message/>"


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    with pytest.raises(CertificateProblem, match=r"^tls\.certificate: .*none\.pem does not exist; give the path of a PEM file$"):
        load_context(tmp_path / "none.pem", key)
    with pytest.raises(CertificateProblem, match=r"^tls\.key: .* cannot be read \(Is a directory\)"):
        load_context(certificate, tmp_path)
    with pytest.raises(CertificateProblem, match=r"^tls\.sites\[1\]\.key: .*none\.pem does not exist"):
        load_context(certificate, tmp_path / "none.pem", setting="tls.sites[1]")


class _Locked(type(Path())):  # type: ignore[misc]
    """A path that this user may not read; root, who runs these tests too, may read everything else."""

    def read_bytes(self) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    with pytest.raises(CertificateProblem, match=r"^tls\.key: .*privkey\.pem may not be read by this user; chown or chgrp"):
        load_context(certificate, _Locked(key))


def test_dates_and_open_modes_only_warn(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    assert "expired on 2026-05-30" in load_context(certificate, key, now=NOW + timedelta(days=91)).warnings[0]
    assert "valid only from 2026-03-01" in load_context(certificate, key, now=NOW - timedelta(days=1)).warnings[0]
    key.chmod(0o640)
    assert load_context(certificate, key, now=NOW).warnings == ()
    key.chmod(0o644)
    (warning,) = load_context(certificate, key, now=NOW).warnings
    assert "chmod 600" in warning


def test_names_cover_a_domain_exactly_or_by_one_wildcard_label() -> None:
    names = frozenset({"capulet.lit", "*.capulet.lit", "xn--bcher-kva.example", "::1"})
    assert covers(names, "Capulet.lit")
    assert covers(names, "chat.capulet.lit")
    assert not covers(names, "a.chat.capulet.lit")
    assert covers(names, "bücher.example")
    assert covers(names, "[::1]")
    assert not covers(names, "montague.lit")
    assert not covers(frozenset({"*.lit"}), "lit")


def test_a_common_name_is_no_name() -> None:
    assert names_of(_ROOT.certificate) == frozenset()


# ── channel binding ──


def test_the_end_point_hash_is_the_signatures(tmp_path: Path) -> None:
    key = fresh_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
    certificate = _builder(name, name, key, NOW).sign(key, hashes.SHA384())
    assert end_point(certificate) == hashlib.sha384(certificate.public_bytes(_DER)).digest()


def test_the_end_point_hash_of_a_weak_signature_is_sha_256() -> None:
    der = _LEAF.public_bytes(_DER)
    sha256, sha1 = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06072a8648ce3d0401")
    weakened = _with_algorithm(der, sha256, sha1)
    certificate = x509.load_der_x509_certificate(weakened)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA1)
    assert end_point(certificate) == hashlib.sha256(weakened).digest()


def test_eddsa_has_no_end_point_binding() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
    assert end_point(_builder(name, name, key, NOW).sign(key, None)) is None


def _with_algorithm(der: bytes, old: bytes, new: bytes) -> bytes:
    """Rename the signature algorithm of a certificate, both times it stands there; nobody checks the signature."""

    def item(data: bytes) -> tuple[bytes, bytes, bytes]:
        size, start = data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start])
        return data[:1], data[start : start + size], data[start + size :]

    def sequence(body: bytes) -> bytes:
        size = len(body)
        length = b"" if size < 0x80 else b"\x81" if size < 0x100 else b"\x82"
        return b"\x30" + length + size.to_bytes(2 if size > 0xFF else 1) + body

    algorithm_old, algorithm_new = sequence(old), sequence(new)
    _, outer, _ = item(der)
    _, to_be_signed, rest = item(outer)
    assert algorithm_old in to_be_signed
    return sequence(sequence(to_be_signed.replace(algorithm_old, algorithm_new, 1)) + rest.replace(algorithm_old, algorithm_new, 1))


# ── the store ──


def _shown(layer: TlsLayer, context: ssl.SSLContext, name: str) -> bytes | None:
    """Connect a client and return the certificate it was shown."""
    client = _Client(layer, context, name)
    return client.tls.getpeercert(binary_form=True)


class _Client:
    """An `ssl.SSLObject` that has shaken hands with a layer."""

    def __init__(self, layer: TlsLayer, context: ssl.SSLContext, name: str) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        for _ in range(4):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            layer.receive(self.outgoing.read())
            self.incoming.write(layer.take_output())
        assert layer.established

    def send(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()


@pytest.fixture
def blind() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def store_of(*pairs: tuple[Path, Path], domains: Sequence[str] = ("capulet.lit",)) -> CertificateStore:
    return CertificateStore([CertificateFiles(*pair) for pair in pairs], domains, clock=lambda: NOW)


def test_a_reload_is_for_new_connections_and_leaves_the_old_ones_alone(tmp_path: Path, blind: ssl.SSLContext) -> None:
    paths = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    store = store_of(paths)
    layer = TlsLayer(store.contexts)
    client = _Client(layer, blind, "capulet.lit")
    waiting = TlsLayer(store.contexts)
    before = layer.bindings
    renewed = _MIDDLE.issue(["capulet.lit"], _OTHER, begin=NOW + timedelta(days=60))
    write(tmp_path, pem(renewed), key_pem(_OTHER))
    assert store.reload() is None
    assert store.expiry() == {str(paths[0]): (NOW + timedelta(days=150)).timestamp()}
    assert _shown(TlsLayer(store.contexts), blind, "capulet.lit") == renewed.public_bytes(_DER)
    assert _shown(waiting, blind, "capulet.lit") == _LEAF.public_bytes(_DER)
    assert layer.receive(client.send(b"<message/>")) == b"<message/>"
    assert layer.bindings == before


def test_a_bad_new_file_is_reported_and_the_old_one_stays(tmp_path: Path, blind: ssl.SSLContext) -> None:
    paths = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    store = store_of(paths)
    write(tmp_path, pem(_MIDDLE.issue(["capulet.lit"], _OTHER)), key_pem(_KEY))  # the key is not there yet
    assert store.changed()
    problem = store.reload()
    assert isinstance(problem, CertificateProblem)
    assert "does not belong" in str(problem)
    assert not store.changed()  # said once
    assert _shown(TlsLayer(store.contexts), blind, "capulet.lit") == _LEAF.public_bytes(_DER)
    write(tmp_path, pem(_MIDDLE.issue(["capulet.lit"], _OTHER)), key_pem(_OTHER))
    assert store.changed()
    assert store.reload() is None


def test_a_file_that_goes_or_moves_behind_a_link_has_changed(tmp_path: Path) -> None:
    live = tmp_path / "live.pem"
    certificate, key = write(tmp_path, pem(_LEAF), key_pem(_KEY))
    live.symlink_to(certificate)
    store = store_of((live, key))
    assert not store.changed()
    other = tmp_path / "fullchain2.pem"
    other.write_bytes(pem(_LEAF))
    live.unlink()
    assert store.changed()
    live.symlink_to(other)
    assert store.changed()
    assert store.reload() is None
    assert not store.changed()


def test_several_certificates_are_chosen_by_server_name_and_wildcard(tmp_path: Path, blind: ssl.SSLContext) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    wild = _MIDDLE.issue(["*.montague.lit", "montague.lit"], _OTHER)
    first, second = write(tmp_path / "a", pem(_LEAF), key_pem(_KEY)), write(tmp_path / "b", pem(wild), key_pem(_OTHER))
    store = store_of(first, second, domains=["capulet.lit", "chat.montague.lit"])
    assert store.warnings == ()
    assert set(store.expiry()) == {str(first[0]), str(second[0])}
    for name, expected in {"capulet.lit": _LEAF, "chat.montague.lit": wild, "montague.lit": wild, "verona.lit": _LEAF}.items():
        assert _shown(TlsLayer(store.contexts), blind, name) == expected.public_bytes(_DER)


def test_domains_without_a_certificate_are_warned_of(tmp_path: Path) -> None:
    store = store_of(write(tmp_path, pem(_LEAF), key_pem(_KEY)), domains=["capulet.lit", "montague.lit"])
    (warning,) = store.warnings
    assert "no certificate is for montague.lit" in warning


def test_a_store_without_files_or_with_bad_ones_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(CertificateProblem, match="no certificate is set"):
        store_of()
    with pytest.raises(CertificateProblem, match="does not exist"):
        store_of((tmp_path / "a", tmp_path / "b"))

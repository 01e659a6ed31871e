"""TLS as the web configuration asks for it: certificates, clients' certificates, versions and ciphers."""

import contextlib
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporter.web_config import CIPHERS, CURVES, TlsServer

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_SAN_KINDS = {"DNS", "email", "URI", "IP Address"}


class TlsError(ValueError):
    """What is wrong with `key` (cert, key or client_ca, or the file of that name), and what to do."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def context(tls: TlsServer) -> ssl.SSLContext:
    """Return the server's side of a connection. Raises TlsError for files that do not serve."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = _VERSIONS[tls.min_version]
    made.maximum_version = _VERSIONS[tls.max_version]
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    made.set_alpn_protocols(["http/1.1"])
    if tls.prefer_server_cipher_suites:
        made.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.cipher_suites:
        chosen = [CIPHERS[name] for name in tls.cipher_suites if CIPHERS[name]]
        if chosen:
            made.set_ciphers(":".join(chosen))
        else:  # none that TLS 1.2 could use
            made.minimum_version = ssl.TLSVersion.TLSv1_3
    for name in tls.curve_preferences:
        made.set_ecdh_curve(CURVES[name])
    _load_own(made, tls)
    _load_clients(made, tls)
    return made


class FreshContext(ssl.SSLContext):
    """A context that uses, for each new connection, the one that `current` gives."""

    current: Callable[[], ssl.SSLContext]

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        # asyncio makes the TLS side of every connection by this; so not only the certificate is new, as with
        # a callback for the server's name, but the CA, the mode and the versions too.
        return self.current().wrap_bio(*args, **kwargs)


def fresh(current: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return a context for `loop.create_server` that asks `current` at every handshake."""
    made = FreshContext(ssl.PROTOCOL_TLS_SERVER)
    made.current = current
    return made


def _load_own(made: ssl.SSLContext, tls: TlsServer) -> None:
    with contextlib.ExitStack() as held:
        cert = tls.cert_file or held.enter_context(_as_file(tls.cert))
        key = tls.key_file or held.enter_context(_as_file(tls.key.get_secret_value()))
        for name, path in (("cert", cert), ("key", key)):
            _readable(name, path)
        try:
            made.load_cert_chain(cert, key, password=_no_password)
        except _EncryptedError:
            raise TlsError("key", "has a passphrase; write one without by: openssl pkey -in …") from None
        except ssl.SSLError as error:
            text = (
                "does not belong to the certificate"
                if error.reason == "KEY_VALUES_MISMATCH"
                else "certificate and key must be PEM text, our certificate first and its chain below"
            )
            raise TlsError("key", text) from None


def _load_clients(made: ssl.SSLContext, tls: TlsServer) -> None:
    made.verify_mode = _CLIENTS[tls.client_auth_type]
    if tls.client_auth_type == "NoClientCert":
        return
    if tls.client_ca_file:
        _readable("client_ca", tls.client_ca_file)
    try:
        made.load_verify_locations(cafile=tls.client_ca_file, cadata=tls.client_ca or None)
    except (ssl.SSLError, ValueError):
        raise TlsError("client_ca", "must be one or more certificates as PEM text") from None
    if tls.client_allowed_sans is not None:
        allowed = frozenset(_plain(name) for name in tls.client_allowed_sans)
        made.sslobject_class = type("Connection", (_NamedClient,), {"allowed": allowed})


class _NamedClient(ssl.SSLObject):
    """A connection that only clients with one of the allowed names get through."""

    allowed: frozenset[str]

    def do_handshake(self) -> None:
        super().do_handshake()
        certificate = self.getpeercert() or {}
        names: Any = certificate.get("subjectAltName", ())
        if not any(kind in _SAN_KINDS and _plain(name) in self.allowed for kind, name in names):
            raise ssl.SSLCertVerificationError("the client's certificate has none of client_allowed_sans")


def _plain(name: str) -> str:
    """Return the one spelling of an IP address; other names stay."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _readable(key: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise TlsError(key, f"{path}: cannot be read: {error.strerror}") from None


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    # Without this OpenSSL asks the terminal, and waits.
    raise _EncryptedError


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[Path]:
    """Give text as a file, since `ssl` reads files only; where there is Linux, without touching a disk."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("tls"), "wb") as file:
            file.write(text.encode())
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            yield Path(file.name)

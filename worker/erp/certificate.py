"""The certificate that a server shows, for an operator to look at before trusting it.

Nothing is sent over the connection that fetches it. Raises ErpUnreachable.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from worker.errors import ErpUnreachable

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A server's certificate; ``sha256`` is its fingerprint as browsers show it: AB:CD:…"""

    pem: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str

    def is_called(self, fingerprint: str) -> bool:
        """Whether that is its fingerprint, in upper or lower case, with colons or without."""
        return fingerprint.replace(":", "").strip().upper() == self.sha256.replace(":", "")


def shown_by(host: str, port: int) -> Certificate:
    """The certificate that the server shows, trusted or not."""
    try:
        return read(ssl.get_server_certificate((host, port), timeout=CONNECT_SECONDS))
    except OSError as error:
        raise ErpUnreachable(f"{host}:{port} shows no certificate: {error.strerror or error}") from None


def read(pem: str) -> Certificate:
    """The certificate in a PEM text."""
    found = x509.load_pem_x509_certificate(pem.encode())
    return Certificate(
        pem=pem,
        names=_names(found),
        issuer=_common_name(found.issuer) or found.issuer.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        sha256=found.fingerprint(SHA256()).hex(":").upper(),
    )


def objection(certificate: Certificate, host: str, port: int) -> str | None:
    """Why TLS would refuse the server even if this certificate were trusted: its dates or its names."""
    context = ssl.create_default_context(cadata=certificate.pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        raise ErpUnreachable(f"{host}:{port} ended the TLS handshake: {error.strerror or error}") from None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names that it is for; an old one without alternative names has a common name, which TLS ignores."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(filter(None, [_common_name(certificate.subject)]))
    addresses = (str(address) for address in extension.get_values_for_type(x509.IPAddress))
    return (*extension.get_values_for_type(x509.DNSName), *addresses)


def _common_name(name: x509.Name) -> str:
    return ", ".join(str(part.value) for part in name.get_attributes_for_oid(NameOID.COMMON_NAME))

"""What an operator is shown of a certificate."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from worker.connect import described
from worker.erp import certificate

END = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)


def without_alternative_names(common_name: str = "erp.local") -> str:
    """A self-signed certificate as old tools made them: its only name is the common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(END - timedelta(days=180)).not_valid_after(END)
    return dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_names_issuer_dates_and_fingerprint_are_read() -> None:
    """A certificate's names and addresses, issuer, dates and SHA-256 are those that it holds."""
    authority = trustme.CA(organization_name="Our IT")
    made = authority.issue_cert("erp.example.com", "10.0.0.1", not_after=END)
    pem = made.cert_chain_pems[0].bytes().decode()
    shown = certificate.read(pem)
    assert shown.names == ("erp.example.com", "10.0.0.1")
    assert "Our IT" in shown.issuer
    assert shown.not_after == END
    der = x509.load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(pem))
    assert shown.is_called(der.fingerprint(hashes.SHA256()).hex())
    assert f"SHA-256          {shown.sha256}" in described(shown)


def test_a_certificate_without_alternative_names_shows_its_common_name() -> None:
    """An old certificate shows its common name, as name and as issuer."""
    shown = certificate.read(without_alternative_names())
    assert (shown.names, shown.issuer) == (("erp.local",), "erp.local")


def test_a_certificate_cannot_write_to_the_terminal() -> None:
    """What an unknown server puts into its certificate is shown without control characters, on its own line."""
    shown = certificate.read(without_alternative_names("erp\x1b[2J\nSHA-256  00"))
    lines = described(shown).splitlines()
    assert lines[0] == "certificate for  erp?[2J?SHA-256  00"
    assert len(lines) == 4


@pytest.mark.parametrize(
    "form", [str, str.lower, lambda text: text.replace(":", ""), lambda text: f" {text} "]
)
def test_a_fingerprint_is_known_in_every_usual_form(form: object) -> None:
    """Upper or lower case, with or without colons: it is the same fingerprint; another is not."""
    shown = certificate.read(without_alternative_names())
    assert callable(form)
    assert shown.is_called(form(shown.sha256))
    assert not shown.is_called("AB:CD")

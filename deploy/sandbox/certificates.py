"""The certificate of the sandbox, from a private authority that it makes for itself.

Fails with OSError when the directory cannot be written.
"""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Two files: the authority's certificate, for clients, and the server's chain with its key."""

    ca_file: Path
    chain_file: Path


def make_certificates(directory: Path, host: str) -> Certificates:
    """See that `directory` holds an authority and a certificate of it for `host` and the loopback names.

    Both are made unless they are there, so that a sandbox started again is trusted again.
    """
    certificates = Certificates(directory / "ca.pem", directory / "server.pem")
    if not (certificates.ca_file.exists() and certificates.chain_file.exists()):
        authority = trustme.CA()
        names = dict.fromkeys((host, "localhost", "127.0.0.1"))
        certificates.chain_file.touch(mode=0o600)
        issued = authority.issue_cert(*names)
        issued.private_key_and_cert_chain_pem.write_to_path(str(certificates.chain_file))
        authority.cert_pem.write_to_path(str(certificates.ca_file))
    return certificates

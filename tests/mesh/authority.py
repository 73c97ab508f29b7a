"""Certificate authorities for tests of mTLS, and the files that a server and its callers read."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack.tls import private_pem


@dataclass
class Authority:
    """A CA that signs certificates for the loopback address, good for servers and callers alike."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> bytes:
        """The CA's own certificate."""
        made = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, days: int = 1) -> tuple[bytes, bytes]:
        """A new key and its certificate, both PEM; with negative `days` it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = self._builder(name, key, days=days).add_extension(names, critical=False)
        return private_pem(key), made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey, *, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
        )


@dataclass(frozen=True)
class Files:
    """CA, key and certificate of one side, in a folder."""

    folder: Path

    @property
    def ca(self) -> str:
        """Whom this side trusts."""
        return str(self.folder / "ca.pem")

    @property
    def key(self) -> str:
        """Its key."""
        return str(self.folder / "key.pem")

    @property
    def cert(self) -> str:
        """Its certificate."""
        return str(self.folder / "cert.pem")

    def trust(self, authorities: Sequence[Authority]) -> None:
        """Writes the CAs."""
        self.folder.mkdir(exist_ok=True)
        Path(self.ca).write_bytes(b"".join(authority.pem for authority in authorities))

    def show(self, pair: tuple[bytes, bytes]) -> None:
        """Writes key and certificate."""
        Path(self.key).write_bytes(pair[0])
        Path(self.cert).write_bytes(pair[1])


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

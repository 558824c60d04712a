"""A cluster's own certificate authority: its key never leaves the head's machine."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from executor.cluster.security.roles import Role, identity
from executor.errors import ClusterError

HEAD_NAME = "head.audition.internal"
"""The name in the head's certificate, whatever its machine is called and by whatever address it is reached."""

_TEN_YEARS = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A certificate and its private key, as PEM; the key is kept out of what is printed."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Keyed({fingerprint(self.certificate)})"


def new_authority(cluster: str) -> Keyed:
    """The authority of a new cluster."""
    key = _new_key()
    name = _named(f"audition cluster {cluster}")
    builder = (
        _begun(name, name, key.public_key(), _TEN_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _keyed(builder.sign(key, hashes.SHA256()), key)


def new_head(authority: Keyed) -> Keyed:
    """A certificate for the head to listen with."""
    key = _new_key()
    builder = _server(_begun(_named("head"), _subject(authority), key.public_key(), _TEN_YEARS))
    return _keyed(builder.sign(_key(authority), hashes.SHA256()), key)


def new_doorkeeper() -> Keyed:
    """A certificate of its own for the port on which newcomers are let in; its `pin` is in the line that they get."""
    key = _new_key()
    name = _named("doorkeeper")
    builder = _server(_begun(name, name, key.public_key(), _TEN_YEARS))
    return _keyed(builder.sign(key, hashes.SHA256()), key)


def request(name: str) -> tuple[bytes, bytes]:
    """A request for a certificate and its new private key, both as PEM."""
    key = _new_key()
    made = x509.CertificateSigningRequestBuilder().subject_name(_named(name)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM), _pem(key)


def issue(authority: Keyed, asked: bytes, role: Role, name: str, valid_s: float) -> bytes:
    """A certificate for a request, as PEM. What role and name it is good for is ours to say, not the request's.

    Raises:
        ClusterError: it is no request, or not of a kind that we take.
    """
    try:
        parsed = x509.load_pem_x509_csr(asked)
        key = parsed.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ClusterError(f"this is no request for a certificate: {error}") from None
    if not parsed.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ClusterError("a request for a certificate must be for a key on an elliptic curve, and signed with it")
    builder = (
        _begun(_named(name), _subject(authority), key, datetime.timedelta(seconds=valid_s))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity(role, name))]), critical=False
        )
    )
    return builder.sign(_key(authority), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pin(certificate: bytes) -> str:
    """The public key of a certificate (PEM) as a short text that nobody can make another key for."""
    return f"sha256:{hashlib.sha256(_public(certificate)).hexdigest()}"


def serial(certificate: bytes) -> str:
    """The certificate's serial number, for the list of those that are refused."""
    return format(x509.load_pem_x509_certificate(certificate).serial_number, "x")


def expires_at(certificate: bytes) -> float:
    """When it ends to be valid, in seconds since 1970."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def fingerprint(certificate: bytes) -> str:
    """A short name for people."""
    return hashlib.sha256(_public(certificate)).hexdigest()[:12]


def _public(certificate: bytes) -> bytes:
    key = x509.load_pem_x509_certificate(certificate).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _subject(authority: Keyed) -> x509.Name:
    return x509.load_pem_x509_certificate(authority.certificate).subject


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)  # clocks differ
        .not_valid_after(now + valid)
    )


def _server(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HEAD_NAME)]), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _keyed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Keyed:
    return Keyed(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key(keyed: Keyed) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(keyed.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key

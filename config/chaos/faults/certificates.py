"""A certificate authority for one run, and doors that speak TLS under its certificates, good and bad ones."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VARIABLE = "SSL_CERT_FILE"  # where OpenSSL, and so every client of ours, finds whom to trust
HOST = "localhost"
_CHUNK_BYTES = 65536
_DAY = timedelta(days=1)
KINDS = ("good", "expired", "other_name", "stranger")


@contextmanager
def trusted_authority() -> Iterator[dict[str, str]]:
    """Yield the variables of processes that trust an authority of our own, and nobody else."""
    with TemporaryDirectory(prefix="stanchion-authority-") as folder:
        path = Path(folder) / "authority.pem"
        key, certificate = _authority()
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(_private(key))
        path.chmod(0o644)
        Path(folder).chmod(0o755)
        yield {VARIABLE: str(path)}


class Door:
    """A TLS server on a port of its own that carries what it decrypts to a port of this machine, in a thread."""

    def __init__(self, authority: Path, kind: str, target: int) -> None:
        self._target = target
        self._context = _server_context(authority, kind)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        self.url = f"https://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _open(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=self._context)

    async def _shut(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for writer in self._writers:
            writer.transport.abort()
        if others:
            await asyncio.wait(others, timeout=5)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            source, target = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(target)
            await asyncio.gather(_copy(reader, target), _copy(source, writer))
            self._writers.discard(target)
        except OSError:
            writer.transport.abort()  # one side has gone, and so has the other one now
        self._writers.discard(writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()


def _server_context(authority: Path, kind: str) -> ssl.SSLContext:
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    key = serialization.load_pem_private_key(authority.with_suffix(".key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    if kind == "stranger":
        key, issuer = _authority()
    own = ec.generate_private_key(ec.SECP256R1())
    until = datetime.now(UTC) + (-_DAY if kind == "expired" else _DAY)
    name = "another.example" if kind == "other_name" else HOST
    certificate = (
        _builder(name, until)
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with TemporaryDirectory(prefix="stanchion-door-") as folder:
        chain = Path(folder) / "door.pem"
        chain.write_bytes(_private(own) + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(chain)
    return context


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("Stanchion chaos authority", datetime.now(UTC) + 30 * _DAY)
    builder = builder.issuer_name(_name("Stanchion chaos authority")).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return key, builder.sign(key, hashes.SHA256())


def _builder(name: str, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 31 * _DAY)
        .not_valid_after(until)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

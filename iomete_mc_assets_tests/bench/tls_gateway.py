"""A gateway over TLS in a process of its own that takes any body and answers 50 ms later. Checks nothing.

The sandbox's gateway reads every event of a body before it answers, one body at a time; that work
would be measured beside the wait.
"""

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from iomete_mc_assets.sandbox.gateway_connection import Connection
from iomete_mc_assets.sandbox.gateway_faults import Answer
from iomete_mc_assets.sandbox.gateway_http import Certificate, Incoming, Listener, Outgoing

ANSWER_MS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsGateway:
    """One that runs.

    Attributes:
        authority: PEM file of the certificate that its clients have to trust.
    """

    connection: Connection
    authority: Path


@contextmanager
def running(folder: Path) -> Generator[TlsGateway]:
    """Start it with a certificate of its own, and end it.

    Args:
        folder: for the certificate.

    Raises:
        RuntimeError: it did not start.
    """
    tls = made_certificate(folder)
    command = [sys.executable, "-m", __name__, str(tls.certificate), str(tls.key)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:  # noqa: S603 - ourselves
        url = child.stdout.readline().strip() if child.stdout else ""
        if not url:
            msg = "the TLS gateway of the benchmarks did not start; its error stands above"
            raise RuntimeError(msg)
        try:
            yield TlsGateway(
                connection=replace(Connection.fresh(), url=url), authority=tls.certificate
            )
        finally:
            child.communicate()  # closes its standard input, which ends it


def made_certificate(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1 that is its own authority, made by openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        msg = "the TLS benchmark makes its certificate with openssl, which is not installed"
        raise RuntimeError(msg)
    tls = Certificate(certificate=folder / "certificate.pem", key=folder / "key.pem")
    subprocess.run(  # noqa: S603 - found by which; nothing from outside
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=bench", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", tls.key, "-out", tls.certificate,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return tls


def _accepted(_: Incoming) -> Outgoing:
    body = json.dumps({"invocation_id": str(uuid.uuid4())})
    return Outgoing(answer=Answer(status=202, body=body), delay_ms=ANSWER_MS)


def main(certificate: str, key: str) -> None:
    """Serve until standard input ends."""
    tls = Certificate(certificate=Path(certificate), key=Path(key))
    with Listener(_accepted, tls=tls) as listener:
        print(listener.url, flush=True)  # noqa: T201 - for the process that started it
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

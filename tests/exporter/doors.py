"""A certificate authority of the test's own, and a real server behind a guard."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.serving import Server

PASSWORD = "Straße:42"


def hashed(password: str = PASSWORD, cost: int = 4) -> str:
    """The line of a user; cost 4 is the least, for tests that do not measure it."""
    salt = f"$2b${cost:02}$".encode() + b"abcdefghijklmnopqrstuu"  # one for all: it stands in tests' names
    return bcrypt.hashpw(password.encode(), salt).decode()


class Authority:
    """Signs certificates into its folder: NAME.crt, NAME.key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder, self.name = folder, name
        self.cert = folder / f"{name}.crt"
        # What Python 3.13 and newer ask of an authority.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        subject = ("-days", "2", "-subj", f"/CN={name}", "-out", self.cert)
        self._openssl("req", "-x509", *self._new(name), *usage, *subject)

    def sign(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key for these subject alternative names."""
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extra.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        self._openssl("req", *self._new(name), "-subj", f"/CN={name}", "-out", request)
        cert = self.folder / f"{name}.crt"
        signer = (
            "-CA",
            self.cert,
            "-CAkey",
            self.folder / f"{self.name}.key",
            "-CAcreateserial",
            "-days",
            "2",
        )
        self._openssl("x509", "-req", "-in", request, *signer, "-extfile", extra, "-out", cert)
        return cert, self.folder / f"{name}.key"

    def _new(self, name):
        key = self.folder / f"{name}.key"
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key]

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


async def page(request):
    return PlainTextResponse("things 1\n", headers={"content-type": "text/plain; version=0.0.4"})


APP = Starlette(
    routes=[
        Route(path, page, methods=["GET", "POST"])
        for path in ("/", "/metrics", "/probe", "/targets", "/-/reload", "/-/healthy")
    ]
)


@contextlib.contextmanager
def guarded(guard, app=APP) -> Iterator[str]:
    """Serve the application behind the guard as the exporter does, and yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(guard.around(app), log_level="error", timeout_graceful_shutdown=2)
    config.load()
    config.ssl = guard.context()
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert server.listening.wait(10)
        yield f"http{'s' if guard.secure else ''}://localhost:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()

"""A Sentry of our own on loopback: takes envelopes of every kind, and can refuse them."""

import gzip
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Item(NamedTuple):
    """One item of an envelope, as it came over the wire."""

    kind: str
    headers: dict
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Envelope(NamedTuple):
    """One envelope: its headers, its items, and the whole text."""

    headers: dict
    items: list[Item]
    text: bytes


def parse(body: bytes) -> Envelope:
    """Read an envelope by its specification: a line of headers, then a header line and a payload an item."""
    line, _, rest = body.partition(b"\n")
    items = []
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        headers = json.loads(head)
        if "length" in headers:
            payload, rest = rest[: headers["length"]], rest[headers["length"] :]
            assert len(payload) == headers["length"]
            assert rest[:1] in (b"\n", b"")
            rest = rest[1:]
        else:
            payload, _, rest = rest.partition(b"\n")
        items.append(Item(headers["type"], headers, payload))
    return Envelope(json.loads(line), items, body)


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets. `answer` may give a status and headers for an envelope instead of 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.envelopes: list[Envelope] = []
        self.other: list[str] = []  # requests that are no envelopes
        self.answer: Callable[[], tuple[int, dict[str, str]]] = lambda: (200, {})
        self.seen = 0
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def dsn(self) -> str:
        return f"http://4bf92f3577b34da6a3ce929d0e0e4736@127.0.0.1:{self.server_port}/42"

    def items(self, *kinds: str) -> list[Item]:
        """All items, or those of some kinds."""
        return [
            each for envelope in self.envelopes for each in envelope.items if not kinds or each.kind in kinds
        ]

    def events(self) -> list[Any]:
        return [each.json for each in self.items("event")]

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join(5)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith("/api/42/envelope"):
            self.server.other.append(self.path)
            self._reply(200, {}, b"{}")
            return
        encoding = self.headers.get("Content-Encoding")
        assert encoding in (None, "gzip"), encoding
        assert "sentry_key=4bf92f" in self.headers["X-Sentry-Auth"]
        status, headers = self.server.answer()
        self.server.seen += 1
        if status == 200:
            self.server.envelopes.append(parse(gzip.decompress(body) if encoding else body))
        self._reply(status, headers, b'{"id":"x"}')

    def do_GET(self) -> None:
        self.server.other.append(self.path)
        self._reply(200, {}, b"{}")

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""

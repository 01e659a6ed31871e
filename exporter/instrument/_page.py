"""The metrics page over HTTP: who may have it, in which format, in which pieces."""

import asyncio
import hmac
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.store import Store
from exporter.store.text import OPENMETRICS, TEXT, encoded

# Bytes of the page that leave in one go; between two of them other requests have their turn.
_PIECE = 32 * 1024


class Answer(NamedTuple):
    """What to send: the body comes in pieces, each made when it is asked for."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]


class Page:
    """A store's page, for those who send `token` as a bearer token where one is given."""

    def __init__(self, store: Store, token: str = "") -> None:
        self._store = store
        self._token = f"Bearer {token}".encode() if token else b""

    def answer(self, *, authorization: str, accept: str, accept_encoding: str) -> Answer:
        """Answer a request with these headers, "" for those that it does not have."""
        if self._token and not hmac.compare_digest(authorization.encode("latin-1"), self._token):
            headers = [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain")]
            return Answer(401, headers, iter([b"a bearer token is needed\n"]))
        openmetrics = "application/openmetrics-text" in accept
        gzip = "gzip" in accept_encoding
        headers = [
            ("Content-Type", OPENMETRICS if openmetrics else TEXT),
            ("Vary", "Accept, Accept-Encoding"),
        ]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        return Answer(200, headers, self._body(openmetrics=openmetrics, gzip=gzip))

    def _body(self, *, openmetrics: bool, gzip: bool) -> Iterator[bytes]:
        packer = zlib.compressobj(1, wbits=31) if gzip else None
        waiting: list[str] = []
        length = 0
        for text in self._store.pages(openmetrics=openmetrics):
            waiting.append(text)
            length += len(text)
            if length >= _PIECE:
                piece = encoded("".join(waiting))
                waiting, length = [], 0
                yield packer.compress(piece) if packer else piece
        piece = encoded("".join(waiting))
        yield packer.compress(piece) + packer.flush() if packer else piece


async def send_page(page: Page, scope: Mapping[str, Any], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer an ASGI request for the page, piece by piece, so that others have their turn."""
    headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
    answer = page.answer(
        authorization=headers.get(b"authorization", ""),
        accept=headers.get(b"accept", ""),
        accept_encoding=headers.get(b"accept-encoding", ""),
    )
    pairs = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    for piece in answer.body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await _turn()
    await send({"type": "http.response.body", "body": b""})


async def _turn() -> None:
    """Let other requests have their turn."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop
        return
    await asyncio.sleep(0)

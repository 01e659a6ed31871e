"""The server behind the stand-in: which path has which format, and how replies and failures go out."""

import gzip
import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from exporter.testing import _anthropic, _openai
from exporter.testing._script import Answer

if TYPE_CHECKING:
    from exporter.testing.fake_ai import FakeAI

Json = dict[str, Any]

_WHOLE = {
    "/chat/completions": _openai.chat,
    "/completions": _openai.completion,
    "/responses": _openai.response,
    "/embeddings": _openai.embeddings,
    "/images/generations": _openai.images,
    "/images/edits": _openai.images,
    "/audio/transcriptions": _openai.transcription,
    "/audio/translations": _openai.transcription,
    "/v1/messages": _anthropic.message,
}
_STREAMED = {
    "/chat/completions": _openai.chat_events,
    "/responses": _openai.response_events,
    "/v1/messages": _anthropic.events,
}


class Arrived(NamedTuple):
    """A request that reached the stand-in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json  # empty where it was not JSON


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: "FakeAI") -> None:
        self.fake = fake
        self._open: set[socket.socket] = set()
        self._ending = False
        super().__init__(("127.0.0.1", 0), Handler)

    def serve(self) -> None:
        """Answer until `end`; without the polling of `serve_forever`, which makes every end wait."""
        while not self._ending:
            self.handle_request()

    def end(self) -> None:
        """Let `serve` return."""
        self._ending = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.server_address[1]), 1).close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self._ending

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, and with them the threads that serve them."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: that is what many tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def do_GET(self) -> None:
        self._arrived({})
        path = urlsplit(self.path).path
        before, _, after = path.partition("/v1/messages/batches/")
        if after:
            number = after.split("/")[0]
            if path.endswith("/results"):
                lines = b"".join(json.dumps(line).encode() + b"\n" for line in self._results())
                self._send(200, lines, "application/x-jsonl", Answer())
            else:
                base_url = f"{self.server.fake.url}{before}"
                self._send_json(200, _anthropic.ended_batch(number, base_url), Answer())
        else:
            self._send_json(200, {"object": "list", "data": []}, Answer())

    def do_POST(self) -> None:
        fake = self.server.fake
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        is_json = "json" in self.headers.get("content-type", "")
        asked: Json = json.loads(content) if is_json and content else {}
        self._arrived(asked)
        path = urlsplit(self.path).path
        answer = fake.next_answer()
        anthropic = "/v1/messages" in path
        if answer.silent:
            fake.stay_silent()
            self.close_connection = True
        elif answer.status >= 400:
            error = _anthropic.error(answer) if anthropic else _openai.error(answer)
            self._send_json(answer.status, error, answer)
        elif path.endswith("/messages/batches"):
            self._send_json(200, _anthropic.batch(asked), answer)
        elif path.endswith("/audio/speech"):
            self._send(200, b"\xff\xfb" + bytes(4000), "audio/mpeg", answer)
        else:
            self._answer(path, asked, answer, anthropic)

    def _answer(self, path: str, asked: Json, answer: Answer, anthropic: bool) -> None:
        # The longest ending first: /chat/completions before /completions.
        formats = _STREAMED if asked.get("stream") else _WHOLE
        end = next((end for end in sorted(formats, key=len, reverse=True) if path.endswith(end)), None)
        if end is None:
            missing = Answer(status=404, type="not_found_error", message=f"no {path} here")
            self._send_json(404, _anthropic.error(missing) if anthropic else _openai.error(missing), missing)
        elif asked.get("stream"):
            self._stream(_STREAMED[end](answer, asked), answer, anthropic, done=end == "/chat/completions")
        else:
            if answer.gate:
                answer.gate.wait()
            reply = _WHOLE[end](answer, asked)
            if answer.usage:
                self.server.fake.has_told(answer if end != "/embeddings" else replace(answer, output=0))
            self._send_json(200, reply, answer)

    def _stream(self, events: Iterable[Json], answer: Answer, anthropic: bool, done: bool) -> None:
        self._head(200, "text/event-stream", answer, {"transfer-encoding": "chunked"})
        packer = gzip.GzipFile(fileobj=_Chunks(self), mode="wb") if answer.gzip else None
        last: Json = {}
        for at, event in enumerate(events):
            if at == answer.breaks_after:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if at == answer.error_after:
                event = _anthropic.error(answer) if anthropic else _openai.error(answer)
            name = f"event: {event['type']}\n" if "type" in event else ""
            self._piece(f"{name}data: {json.dumps(event)}\n\n".encode(), packer)
            last = event
            if at == answer.error_after:
                break
            if at == 0 and answer.gate:
                answer.gate.wait()
        else:
            if answer.usage and (not done or last.get("usage")):
                self.server.fake.has_told(answer)
            if done:
                self._piece(b"data: [DONE]\n\n", packer)
        if packer:
            packer.close()
        self.wfile.write(b"0\r\n\r\n")

    def _piece(self, data: bytes, packer: gzip.GzipFile | None) -> None:
        if packer:
            packer.write(data)
            packer.flush()
        else:
            self.chunk(data)

    def chunk(self, data: bytes) -> None:
        """Write one piece of a chunked body."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _results(self) -> Iterator[Json]:
        for answer in self.server.fake.batch_results:
            if answer.status < 400:
                self.server.fake.has_told(answer)
        yield from _anthropic.results(self.server.fake.batch_results)

    def _send_json(self, status: int, body: Json, answer: Answer) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", answer)

    def _send(self, status: int, body: bytes, kind: str, answer: Answer) -> None:
        packed = gzip.compress(body) if answer.gzip else body
        self._head(status, kind, answer, {"content-length": str(len(packed))})
        self.wfile.write(packed)

    def _head(self, status: int, kind: str, answer: Answer, more: dict[str, str]) -> None:
        self.send_response(status)
        packed = {"content-encoding": "gzip"} if answer.gzip else {}
        always = {"content-type": kind, "x-request-id": "req_1", "request-id": "req_1"}
        for name, value in {**always, **packed, **self.server.fake.limits, **answer.headers, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _arrived(self, asked: Json) -> None:
        self.server.fake.requests.append(Arrived(self.command, self.path, dict(self.headers), asked))


class _Chunks:
    """What gzip writes into: pieces of a chunked body."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def write(self, data: bytes) -> int:
        if data:
            self._handler.chunk(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

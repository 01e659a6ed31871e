"""The metrics page on a port of its own, served by whichever worker gets the port."""

import contextlib
import errno
import logging
import os
import socket
import socketserver
import threading
import time
import weakref
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.instrument._page import Page
from exporter.store import Store

RETRY_SECONDS = 2.0  # well below the time between two scrapes
_CLIENT_SECONDS = 10.0  # a client that takes no bytes for so long is left

_log = logging.getLogger("watchkeeper")
_ports: "weakref.WeakSet[_Port]" = weakref.WeakSet()


def serve(store: Store, port: int, address: str, token: str) -> Callable[[], None]:
    """Serve a store's page, now or as soon as the port is free; return what stops that."""
    place = _Port(Page(store, token), port, address)
    place.start()
    return place.stop


class _Server(ThreadingHTTPServer):
    allow_reuse_port = False  # two workers on one port would each get half of the scrapes
    daemon_threads = True
    timeout = 0.5  # how long stopping may take

    def __init__(self, address: tuple[str, int], page: Page) -> None:
        self.page = page
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask the name service who we are, and may wait for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a client of the metrics page has gone", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(404)
            return
        answer = self.server.page.answer(
            authorization=self.headers.get("Authorization", ""),
            accept=self.headers.get("Accept", ""),
            accept_encoding=self.headers.get("Accept-Encoding", ""),
        )
        pieces = []
        for piece in answer.body:
            pieces.append(piece)
            time.sleep(0)  # the threads and loops that answer requests go first
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"".join(pieces))

    def do_HEAD(self) -> None:
        self.do_GET()

    def version_string(self) -> str:
        return "watchkeeper"

    def log_message(self, *_: Any) -> None:
        """Nothing: scrapes are no news."""


class _Port:
    """One worker's part: serves while it has the port, and tries to get it while it has not."""

    def __init__(self, page: Page, port: int, address: str) -> None:
        self._page = page
        self._place = (address, port)
        self._server: _Server | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Take the port if it is free. Raises OSError when it can never be had."""
        try:
            self._server = _Server(self._place, self._page)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _log.info("port %d is taken, by another worker perhaps: trying again", self._place[1])
        _ports.add(self)
        self._run_in_thread()

    def stop(self) -> None:
        """Free the port, or stop trying."""
        _ports.discard(self)
        self._stopped.set()
        self._thread.join()

    def after_fork(self) -> None:
        """Leave the port to the parent, whose threads are not here, and stand in line for it."""
        if self._server is not None:
            self._server.socket.close()
        self._server, self._stopped = None, threading.Event()
        self._run_in_thread()

    def _run_in_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watchkeeper-page", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stopped = self._stopped
        while self._server is None and not stopped.wait(RETRY_SECONDS):
            with contextlib.suppress(OSError):  # still taken
                self._server = _Server(self._place, self._page)
        if self._server is not None:
            with self._server as server:
                while not stopped.is_set():
                    server.handle_request()


def _after_fork_in_child() -> None:
    for place in list(_ports):
        place.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Real WSGI servers: wsgiref in a thread of the test, gunicorn with workers of its own."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx

from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass

    def get_stderr(self):
        return io.StringIO()


@contextlib.contextmanager
def wsgiref(app):
    """Serve `app` in this process and yield a client."""
    server = make_server("127.0.0.1", 0, app, _Threads, _Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as http:
            yield http
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def gunicorn(folder, code, *options):
    """Serve the application `app` of this code and yield a client that uses each connection once."""
    (folder / "served.py").write_text(code)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", *options]
        process = subprocess.Popen(
            [*command, "--log-level", "warning", "served:app"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[listener.fileno()],
        )
    try:
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=url, limits=limits, timeout=10) as http:
            wait_for(lambda: _answers(http), 20, "gunicorn to answer")
            yield http
    finally:
        process.terminate()
        process.wait(20)


def _answers(http):
    with contextlib.suppress(httpx.TransportError):
        return http.get("/metrics").status_code == 200

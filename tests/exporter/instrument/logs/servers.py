"""The application on a real server, and the lines that it writes to its standard output."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.waiting import wait_for

ROOT = Path(__file__).parents[4]
APP = "tests.exporter.instrument.logs.app:app"
GUNICORN = ("gunicorn", APP, "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "--access-logfile", "-")
# Where the application binds its user, bare and behind a BaseHTTPMiddleware.
PLACES = (
    "sync_endpoint",
    "async_endpoint",
    "by_sync_dependency",
    "by_async_dependency",
    "child_task",
    "worker_thread",
)
COMMANDS = {
    "uvicorn": ("uvicorn", APP, "--port", "{port}"),
    "two workers": ("uvicorn", APP, "--workers", "2", "--port", "{port}"),
    "script": ("tests.exporter.instrument.logs.app", "{port}"),
    "preload": (*GUNICORN, "--preload", "-b", "127.0.0.1:{port}"),
    "hypercorn": ("hypercorn", APP, "--access-logfile", "-", "-b", "127.0.0.1:{port}"),
    "granian": ("granian", APP, "--interface", "asgi", "--access-log", "--port", "{port}"),
}


class Served:
    """A running server: ask it, then read its lines."""

    def __init__(self, process, port, file):
        self.process, self.file = process, file
        self.url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.url, timeout=20)

    def get(self, path="/", **headers):
        return self._client.get(path, headers=headers)

    def is_up(self):
        assert self.process.poll() is None, self.text()
        with contextlib.suppress(httpx.HTTPError):
            return self.get().status_code == 200

    def text(self):
        return self.file.read_text()

    def lines(self, **fields):
        """The lines with these fields; what is no JSON comes from a supervisor, and is left out."""
        found = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in found if fields.items() <= line.items()]

    def wait_for(self, count=1, **fields):
        return wait_for(lambda: (found := self.lines(**fields)) and len(found) >= count and found, 10, fields)

    def hang_up(self):
        self._client.close()

    def stop(self):
        self.hang_up()
        self.process.terminate()
        return self.process.wait(10)


@contextlib.contextmanager
def serving(kind, tmp_path, output=None, **environment):
    """Start a server and end it with all its processes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [word.replace("{port}", str(port)) for word in COMMANDS[kind]]
    file = tmp_path / "stdout"
    given = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | environment
    with file.open("ab") as here:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=given,
            stdout=output or here,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(process, port, file)
    try:
        wait_for(served.is_up, 30, f"{kind} answers")
        yield served
    finally:
        served.hang_up()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

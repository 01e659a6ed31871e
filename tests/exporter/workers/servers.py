"""Servers with several workers, as users start them: a command, a free port, no configuration."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]
APP = "tests.exporter.workers.app:app"
GUNICORN = ("gunicorn", APP, "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "--log-level", "critical")
RESPAWN = ("--respawn-failed-workers", "--respawn-interval", "0.2")
# What users type, with the port to come; and what must be installed for it.
COMMANDS = {
    "uvicorn": ("uvicorn", APP, "--workers", "2", "--log-level", "error", "--port", "{port}"),
    "script": ("tests.exporter.workers.app", "{port}"),
    "gunicorn": (*GUNICORN, "-b", "127.0.0.1:{port}"),
    "preload": (*GUNICORN, "--preload", "-b", "127.0.0.1:{port}"),
    "hypercorn": ("hypercorn", APP, "-w", "2", "--log-level", "critical", "-b", "127.0.0.1:{port}"),
    "granian": ("granian", APP, "--interface", "asgi", "--workers", "2", *RESPAWN, "--port", "{port}"),
}
NEEDS = {
    "script": ("uvicorn",),
    "gunicorn": ("gunicorn", "uvicorn_worker"),
    "preload": ("gunicorn", "uvicorn_worker"),
}


class Workers:
    """A running server: its process, and what its clients see."""

    def __init__(self, process, port):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/chat"
        self._clients = {}

    def get(self, path="/", **options):
        """Ask over a connection of its own, which any worker may accept."""
        answer = httpx.get(
            self.url + path, headers={"Connection": "close"}, timeout=20, verify=False, **options
        )
        answer.raise_for_status()
        return answer.text

    def is_up(self):
        with contextlib.suppress(httpx.HTTPError):
            return self.get()
        return ""

    def load(self, count, path="/"):
        """Return how many requests were answered, some at a time."""
        with ThreadPoolExecutor(4) as pool:
            return sum(1 for answer in pool.map(lambda _: self.get(path), range(count)) if answer)

    def clients(self, count=2):
        """Return a connection to each worker, by its pid: one connection stays with one worker."""
        self.hang_up()

        def another():
            client = httpx.Client(base_url=self.url, timeout=20, verify=False)
            try:
                pid = int(client.get("/block").text)
                if self._clients.setdefault(pid, client) is client:
                    return
            except httpx.HTTPError:
                pass
            client.close()

        def all_found():
            with ThreadPoolExecutor(count) as pool:
                for _ in range(count):
                    pool.submit(another)
            return len(self._clients) >= count

        wait_for(all_found, 20, "every worker answers")
        return self._clients

    def hang_up(self):
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients = {}

    def hold(self):
        """Ask for what is not answered, in a thread of its own."""

        def ask():
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(self.url + "/hold", timeout=60, verify=False)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return thread

    def chat(self):
        return connect(self.socket_url)

    def page(self, client=None):
        """Return {name: {label values: number}} as one worker says it."""
        return parsed(client.get("/metrics").text if client else self.get("/metrics"))

    def count(self, route="/", client=None):
        page = self.page(client)
        return sum(v for labels, v in page.get("http_requests_total", {}).items() if route in labels)

    def now(self, name, client=None):
        return sum(self.page(client).get(name, {}).values())

    def folder(self):
        """Return the family's folder: it bears the pid of the process that we have started."""
        bases = (Path("/dev/shm"), Path(tempfile.gettempdir()))
        (found,) = [path for base in bases for path in base.glob(f"watchkeeper-*/*-{self.process.pid}-*")]
        return found

    def files(self):
        return sorted(path.name for path in self.folder().glob("*.cells"))

    def wait_for(self, condition, what):
        """As `wait_for`; while a worker is being replaced, a connection may be refused."""

        def safely():
            with contextlib.suppress(httpx.HTTPError):
                return condition()
            return False

        return wait_for(safely, 20, what)


def parsed(page):
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def serving(kind, *more, app_dir=ROOT, command=None):
    """Start a server and end it with all its processes, whatever became of them."""
    command = command or COMMANDS[kind]
    for module in NEEDS.get(kind, (command[0],)):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in (*command, *more)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{app_dir}", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=app_dir,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    workers = Workers(process, port)
    try:
        wait_for(workers.is_up, 30, f"{kind} answers")
        yield workers
    finally:
        workers.hang_up()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        with contextlib.suppress(ValueError):
            shutil.rmtree(workers.folder())

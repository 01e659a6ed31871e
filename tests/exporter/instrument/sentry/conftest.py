"""A receiver, and the planted application on a real server that reports to it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.exporter.instrument.sentry import planted
from tests.exporter.instrument.sentry.receiver import Receiver
from tests.waiting import wait_for

ROOT = Path(__file__).parents[4]
TRACE = "0af7651916cd43dd8448eb211c80319c"
TOKEN = "let-me-test"


class App:
    """The application as a client sees it, and its receiver."""

    def __init__(self, url, receiver):
        self.receiver = receiver
        # A server closes the connection after an error; the next request shall not run into that.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=url, timeout=30, limits=limits)

    def get(self, path, **headers):
        return self.client.get(path, headers=headers)

    def flush(self):
        """All that waits is out afterwards; what the application says of its deliveries."""
        return self.client.post("/flush").raise_for_status().json()

    def events(self, path, **headers):
        """The errors that a request reports."""
        before = len(self.receiver.events())
        self.get(path, **headers)
        self.flush()
        return self.receiver.events()[before:]

    def order(self):
        """The request that has it all."""
        path = f"/api/shop/orders/{planted.email('path')}/{planted.password('path')}"
        headers = {
            "Authorization": f"Bearer {planted.password('header')}",
            "Cookie": f"session={planted.password('cookie')}",
            "X-Customer": planted.all_of("header"),
            "X-Api-Key": planted.password("header"),
            "X-Forwarded-For": "203.0.113.7",
            "User-Agent": f"agent/1 ({planted.email('agent')})",
            "Baggage": f"sentry-trace_id={TRACE},sentry-transaction={planted.email('baggage')}",
            "Sentry-Trace": f"{TRACE}-00f067aa0ba902b7-1",
            "Content-Type": "application/json",
        }
        query = {"email": planted.email("query"), "token": planted.password("query"), "card": planted.CARD}
        return self.client.post(path, params=query, headers=headers, content=planted.json_body())


def variables():
    """The environment without what concerns Sentry."""
    ours = ("SENTRY_", "ENV", "VERSION", "RELEASE", "NEXT_PUBLIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@contextlib.contextmanager
def planted_app(receiver, *arguments, **environment):
    """Run the application; the variables are its whole Sentry environment."""
    listener = socket.create_server(("127.0.0.1", 0))
    program = [
        sys.executable,
        "-m",
        "tests.exporter.instrument.sentry.planted_app",
        planted.all_of("argument"),
    ]
    process = subprocess.Popen(
        [*program, "--fd", str(listener.fileno()), *arguments],
        cwd=ROOT,
        pass_fds=[listener.fileno()],
        env={**variables(), "SENTRY_DSN": receiver.dsn, "OTHERS": receiver.url, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    app = App(url, receiver)
    try:
        wait_for(lambda: _answers(app, process), 20, "the planted application")
        yield app
    finally:
        app.client.close()
        process.terminate()
        process.wait(15)


def _answers(app, process):
    assert process.poll() is None, "it has ended"
    try:
        return app.client.get("/metrics").status_code == 200
    except httpx.TransportError:
        return False


FULL = {
    "SENTRY_TRACES_SAMPLE_RATE": "1",
    "SENTRY_PROFILES_SAMPLE_RATE": "1",
    "SENTRY_ENABLE_LOGS": "true",
    "SENTRY_ENVIRONMENT": "staging",
    "SENTRY_RELEASE": "shop-1.2.3",
}


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def shop(receiver):
    """The application with traces, profiles and logs, for tests that only add to what it reports."""
    options = {"test_token": TOKEN, "settings_path": "/api/v1/sentry/settings"}
    with planted_app(receiver, "--options", json.dumps(options), **FULL) as app:
        yield app


BEGIN = """
import json, logging, os, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from exporter import instrument
from exporter.instrument import sentry
LIGHT = {"auto_enabling_integrations": False}
def say(value): print(json.dumps(value), flush=True)
"""


class Program(NamedTuple):
    """What a short program has said: JSON lines on one side, its log on the other."""

    said: list
    log: str


def run(code, **environment):
    """Run a short program to its end."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + textwrap.dedent(code)],
        cwd=ROOT,
        env={**variables(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return Program([json.loads(line) for line in result.stdout.splitlines()], result.stderr)


@pytest.fixture
def own_receiver():
    with Receiver() as running:
        yield running

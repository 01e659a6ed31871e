"""The metrics page on a port of its own."""

import contextlib
import os
import signal
import socket

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry

from exporter import instrument
from exporter.instrument import _port
from tests.exporter.instrument.pages import samples_of
from tests.exporter.instrument.wsgi_servers import gunicorn
from tests.waiting import wait_for


@pytest.fixture
def port():
    """A port that was free a moment ago; these tests are about who gets it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def observers():
    """Makes observers, each with a registry of its own, and stops them in the end."""
    made = []

    def make():
        made.append(instrument(registry=CollectorRegistry()))
        return made[-1]

    yield make
    for obs in made:
        obs.uninstrument()


def get(port, path="/metrics", **headers):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers)


def hits(port):
    """The caches that the page on this port tells of."""
    answer = get(port)
    return {cache for cache, _ in samples_of(answer.text, "cache_requests_total")} if answer else None


def test_the_page_is_there_as_soon_as_it_is_asked_for(observers, port):
    """Under /metrics and /, with the token if there is one, until it is stopped."""
    obs = observers()
    obs.cache("sessions").hit()
    stop = obs.serve_metrics(port, token="secret")
    assert get(port).status_code == 401
    for path in ("/metrics", "/", "/metrics?x=y"):
        answer = get(port, path, authorization="Bearer secret")
        assert samples_of(answer.text, "cache_requests_total")["sessions", "hit"] == 1
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["content-encoding"] == "gzip"
    assert get(port, "/other").status_code == 404
    head = httpx.head(f"http://127.0.0.1:{port}/metrics", headers={"authorization": "Bearer secret"})
    assert (head.status_code, head.content) == (200, b"")
    stop()
    assert get(port) is None


def test_who_comes_second_takes_over(observers, port, monkeypatch):
    """A port that is taken is no error, and is had as soon as it is free."""
    monkeypatch.setattr(_port, "RETRY_SECONDS", 0.02)
    first, second = observers(), observers()
    first.cache("first").hit()
    second.cache("second").hit()
    stop = first.serve_metrics(port)
    second.serve_metrics(port)
    assert hits(port) == {"first"}
    stop()
    wait_for(lambda: hits(port) == {"second"}, 10, "the second to serve")
    second.uninstrument()
    assert get(port) is None


def test_who_waits_can_be_stopped(observers, port):
    """Stopping does not wait for the port."""
    obs = observers()
    with socket.create_server(("127.0.0.1", port)):
        obs.serve_metrics(port)()
    assert get(port) is None


def test_an_address_that_can_never_be_had_is_an_error(observers, port):
    """A mistake is told at the start, not tried again for ever."""
    with pytest.raises(OSError):
        observers().serve_metrics(port, address="192.0.2.1")  # RFC 5737: nobody's


WORKERS = """
import os
from flask import Flask
from exporter import instrument

app = Flask("served")
obs = instrument(app)
obs.serve_metrics({port})

@app.get("/x")
def x():
    return str(os.getpid())
"""


def owner(port):
    """The process that listens on this port."""
    (found,) = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    return found


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["started apart", "forked after the call"])
def test_one_worker_serves_the_numbers_of_all_and_another_follows_it(tmp_path, port, options):
    """With gunicorn's workers; when the one that serves is killed, the page comes back with all counts."""

    def count():
        answer = get(port)
        return answer and samples_of(answer.text, "http_requests_total").get(("GET", "/x", "200"))

    with gunicorn(tmp_path, WORKERS.format(port=port), "--workers", "2", *options) as http:
        workers = set()
        for _ in range(30):
            workers.add(int(http.get("/x").text))
        assert count() == 30
        serving = owner(port)
        if options:
            assert serving not in workers  # the parent had it first, and keeps it
            return
        os.kill(serving, signal.SIGKILL)
        wait_for(lambda: count() == 30, 15, "another worker to serve")
        assert owner(port) != serving

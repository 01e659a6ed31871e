"""The exporter connects to what its settings name, and to nothing that a request asks for."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Route

from exporter.config import load
from exporter.pages import application
from exporter.service import Service
from tests.serving import serving

# What exporters and probes are asked with in other places.
PARAMETERS = (
    "target", "targets", "url", "uri", "dsn", "host", "address", "addr", "module", "auth_module", "proxy",
    "collect[]", "name", "path", "next", "redirect", "callback", "instance", "__address__", "config", "file",
)  # fmt: skip


@contextlib.contextmanager
def trap() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and who has come to it."""
    visitors: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work():
            with contextlib.suppress(OSError):
                while True:
                    connection, visitor = listener.accept()
                    visitors.append(visitor)
                    connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield listener.getsockname()[1], visitors
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.fixture(scope="module")
def exporter():
    """The real pages, with a collector on the main one and one target."""
    variables = {"WATCHKEEPER_COLLECTORS__HOST": "", "WATCHKEEPER_TARGETS__MACHINE__HOST": ""}
    app = application(Service(load(None, variables)))
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert len(paths) == len(app.routes) >= 6, "a route of another kind: this test has to learn it"
    assert not [path for path in paths if "{" in path], "a path with a parameter: this test has to learn it"
    with serving(app) as url:
        yield url, paths


def addresses(port):
    there = f"127.0.0.1:{port}"
    return [
        there,
        f"http://{there}/",
        f"//{there}/",
        f"redis://{there}/0",
        f"postgresql://x:y@{there}/db",
        f"machine@{there}",
        f"machine/../../{there}",
        f"machine\r\nHost: {there}",
    ]


def test_no_request_names_an_address(exporter):
    """Whatever parameter on whatever page, and by whatever method, nobody knocks at that address."""
    url, paths = exporter
    with trap() as (port, visitors), httpx.Client(base_url=url, timeout=30) as http:
        forms = addresses(port)
        for path, address in itertools.product(paths, forms):
            every = dict.fromkeys(PARAMETERS, address)
            http.get(path, params=every)
            if address == forms[1]:
                http.post(path, params=every)
                http.post(path, data=every)
                http.post(path, json=every)
        for name, address in itertools.product(PARAMETERS, forms[:2]):
            http.get("/probe", params={name: address})
        assert visitors == []


def test_no_header_names_an_address(exporter):
    """Nor do the host, what proxies add, or a request line with a whole address in it."""
    url, paths = exporter
    ours = url.removeprefix("http://")
    names = (
        "host",
        "x-forwarded-host",
        "x-forwarded-for",
        "forwarded",
        "referer",
        "origin",
        "x-original-url",
    )
    with trap() as (port, visitors), httpx.Client(base_url=url, timeout=30) as http:
        there = f"127.0.0.1:{port}"
        for path in paths:
            http.get(path, headers=dict.fromkeys(names, there))
            host, _, number = ours.partition(":")
            with socket.create_connection((host, int(number)), timeout=10) as raw:
                request = f"GET http://{there}{path} HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\n\r\n"
                raw.sendall(request.encode())
                assert raw.recv(100).startswith(b"HTTP/1.1 ")
        assert visitors == []


def test_the_trap_sees_who_comes():
    """An empty list would prove nothing if nobody could be seen."""
    with trap() as (port, visitors):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            assert raw.recv(1) == b""
        assert len(visitors) == 1


def test_a_target_is_one_of_the_settings(exporter):
    """An unknown name is answered with the known ones, and what was asked is not repeated."""
    url, _ = exporter
    answer = httpx.get(f"{url}/probe", params={"target": "http://<b>elsewhere</b>/"})
    assert (answer.status_code, answer.text) == (404, "No such target; known here: machine.\n")

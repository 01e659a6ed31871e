"""HTTP and WebSocket metrics of real applications: what is counted, under which template, and when."""

import asyncio
import contextlib
import socket
import threading

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, Router
from websockets.sync.client import connect

from exporter import instrument
from exporter.instrument._templates import Templates
from exporter.instrument.asgi import HTTPMetrics
from exporter.store import Store
from tests.serving import serving
from tests.waiting import wait_for


class Page:
    """The metrics page of an instrumented application, as numbers."""

    def __init__(self, registry):
        self.registry = registry

    def samples(self, name):
        text = Store.of(self.registry).page().decode()
        families = text_string_to_metric_families(text)
        return {tuple(s.labels.values()): s.value for f in families for s in f.samples if s.name == name}

    @property
    def requests(self):
        """What was counted; the zeros that are there from the start are left out."""
        return {labels: value for labels, value in self.samples("http_requests_total").items() if value}


@pytest.fixture
def page():
    return Page(CollectorRegistry())


@contextlib.contextmanager
def client(app, **options):
    with serving(app, **options) as url, httpx.Client(base_url=url) as http:
        yield http


async def hello(request):
    return PlainTextResponse("hello")


def test_routes_are_counted_by_template_through_every_nesting(page):
    """Mounts, routers, hosts, included routers and sub-applications all give the full template."""
    app = FastAPI()
    instrument(app, registry=page.registry)
    items = APIRouter(prefix="/items")

    @items.get("/{item}")
    async def item(item: int):
        return item

    outer = APIRouter(prefix="/outer")
    outer.include_router(items)
    app.include_router(items, prefix="/v1")
    app.include_router(outer, prefix="/v2")
    tenant = FastAPI()

    @tenant.get("/users/{user}")
    async def user(user: int):
        return user

    app.mount("/tenants/{tenant}", tenant)
    app.mount("/plain", Starlette(routes=[Mount("/deep", routes=[Route("/{x}", hello)])]))
    app.router.routes.append(Host("api.example.com", Router([Route("/by-host/{x}", hello)])))
    with client(app) as http:
        for path in ("/v1/items/1", "/v2/outer/items/2", "/tenants/acme/users/3", "/plain/deep/4"):
            assert http.get(path).status_code == 200
        assert http.get("/by-host/5", headers={"host": "api.example.com"}).status_code == 200
    assert page.requests == {
        ("GET", "/v1/items/{item}", "200"): 1,
        ("GET", "/v2/outer/items/{item}", "200"): 1,
        ("GET", "/tenants/{tenant}/users/{user}", "200"): 1,
        ("GET", "/plain/deep/{x}", "200"): 1,
        ("GET", "/by-host/{x}", "200"): 1,
    }


def test_a_sub_application_at_several_places_is_known_by_each(page):
    """Also below a parameter, behind a root path, and where one place ends like another."""
    inner = Starlette(routes=[Route("/users/{user}", hello)])
    places = ("/a", "/b/a", "/tenants/{tenant}")
    app = Starlette(routes=[Mount(place, inner) for place in places])
    instrument(app, registry=page.registry)
    with client(app, root_path="/behind/a") as http:
        for _ in range(2):
            for place in ("/a", "/b/a", "/tenants/acme"):
                assert http.get(f"{place}/users/1").text == "hello"
    assert page.requests == {("GET", f"{place}/users/{{user}}", "200"): 2 for place in places}


def test_nothing_from_outside_makes_series(page):
    """Unmatched paths, invented methods, Host headers and path parameters share bounded labels."""
    app = Starlette(routes=[Route("/x/{y}", hello)])
    instrument(app, registry=page.registry)
    with client(app, http="h11") as http:
        for number in range(20):
            http.get(f"/no/{number}", headers={"host": f"host{number}"})
            http.get(f"/x/{number}")
            http.request(f"BREW{number}", "/x/1")
    assert page.requests == {
        ("GET", "unmatched", "404"): 20,
        ("GET", "/x/{y}", "200"): 20,
        ("other", "/x/{y}", "405"): 20,
    }


def test_head_options_and_405_are_counted_under_their_template(page):
    """A refused method is known by its route, not lost as unmatched."""
    app = Starlette(routes=[Route("/x", hello, methods=["GET"])])
    instrument(app, registry=page.registry)
    with client(app) as http:
        assert [http.request(m, "/x").status_code for m in ("HEAD", "OPTIONS", "POST")] == [200, 405, 405]
    assert page.requests == {
        ("HEAD", "/x", "200"): 1,
        ("OPTIONS", "/x", "405"): 1,
        ("POST", "/x", "405"): 1,
    }


def test_a_raised_exception_is_a_500_and_passes_through_untouched(page):
    """The exception is counted by type and reaches the server as it was."""

    async def broken(request):
        raise KeyError("lost")

    app = Starlette(routes=[Route("/x", broken)])
    instrument(app, registry=page.registry)
    with client(app) as http:
        assert http.get("/x").status_code == 500
    assert page.requests == {("GET", "/x", "500"): 1}
    assert page.samples("http_exceptions_total") == {("/x", "KeyError"): 1}


def test_an_exception_in_mid_stream_is_a_500(page):
    """The status line was 200, but nobody got the answer: it is counted as an error."""

    async def half():
        yield "half"
        raise RuntimeError("source gone")

    async def stream(request):
        return StreamingResponse(half())

    app = Starlette(routes=[Route("/x", stream)])
    instrument(app, registry=page.registry)
    with client(app) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get("/x")
    assert page.requests == {("GET", "/x", "500"): 1}


def test_streaming_is_timed_to_the_last_byte_and_background_tasks_are_not(page):
    """Duration ends with the last byte, before the background task that follows it."""
    released = threading.Event()
    app = FastAPI()
    instrument(app, registry=page.registry)

    async def body():
        yield "first"
        await asyncio.sleep(0.06)
        yield "last"

    @app.get("/stream")
    async def stream():
        return StreamingResponse(body())

    @app.get("/background")
    def background(tasks: BackgroundTasks):
        tasks.add_task(released.wait, 10)
        return "now"

    with client(app) as http:
        http.get("/stream")
        http.get("/background")
        # The task is still waiting, yet its request is on the page already.
        assert page.requests["GET", "/background", "200"] == 1
        released.set()
    seconds = page.samples("http_request_duration_seconds_sum")
    assert seconds["GET", "/stream", "2xx"] >= 0.06
    sizes = page.samples("http_response_size_bytes_sum")
    assert sizes["GET", "/stream"] == len("firstlast")


def test_a_client_that_leaves_is_a_499(page):
    """Hanging up during a stream is neither a success nor an error of the server."""
    ended = threading.Event()

    async def endless():
        try:
            while True:
                yield "x" * 1000
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async def stream(request):
        return StreamingResponse(endless())

    app = Starlette(routes=[Route("/x", stream)])
    instrument(app, registry=page.registry)
    with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100)
        assert ended.wait(10)
        wait_for(lambda: page.requests, 10, "the request to be counted")
    assert page.requests == {("GET", "/x", "499"): 1}
    assert page.samples("http_exceptions_total") == {}


def test_a_cancelled_request_is_counted():
    """A task that is cancelled leaves a 499 and no request in progress."""
    page = Page(CollectorRegistry())

    async def never(scope, receive, send):
        await asyncio.Event().wait()

    app = HTTPMetrics(never, Store.of(page.registry))
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}

    async def run():
        task = asyncio.create_task(app(scope, None, None))
        await asyncio.sleep(0)
        assert page.samples("http_requests_in_progress") == {("GET", "unmatched"): 1}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert page.requests == {("GET", "unmatched", "499"): 1}
    assert page.samples("http_requests_in_progress") == {("GET", "unmatched"): 0}


def test_requests_in_progress_know_their_route(page):
    """The gauge is read at scrape time, when the router has spoken."""
    entered, released = threading.Event(), threading.Event()
    app = FastAPI()
    instrument(app, registry=page.registry)

    @app.get("/slow/{x}")
    def slow(x: int):
        entered.set()
        released.wait(10)

    with client(app) as http:
        request = threading.Thread(target=http.get, args=("/slow/1",))
        request.start()
        assert entered.wait(10)
        assert page.samples("http_requests_in_progress") == {("GET", "/slow/{x}"): 1}
        released.set()
        request.join()
    assert page.samples("http_requests_in_progress") == {("GET", "/slow/{x}"): 0}


def test_websockets_are_counted_while_they_are_open(page):
    """Accepted connections count, until either side closes or the handler raises; refused ones never do."""
    app = FastAPI()
    instrument(app, registry=page.registry)

    @app.websocket("/ws/{room}")
    async def room(socket: WebSocket, room: str):
        if room == "closed":
            await socket.close()
            return
        await socket.accept()
        if await socket.receive_text() == "raise":
            raise ValueError
        await socket.close()

    open_now = lambda: page.samples("active_connections")  # noqa: E731
    with serving(app, ws="websockets-sansio") as url:
        base = url.replace("http", "ws")
        with pytest.raises(Exception, match="403"):
            connect(f"{base}/ws/closed")
        with connect(f"{base}/ws/a") as first, connect(f"{base}/ws/b") as second:
            wait_for(lambda: open_now() == {("/ws/{room}",): 2}, 10, "two connections")
            second.send("raise")
            wait_for(lambda: open_now() == {("/ws/{room}",): 1}, 10, "the handler to raise")
            first.send("bye")
            wait_for(lambda: open_now() == {("/ws/{room}",): 0}, 10, "the handler to close")
    assert page.samples("websocket_connections_total") == {("/ws/{room}",): 2}
    assert page.samples("http_exceptions_total") == {("/ws/{room}", "ValueError"): 1}
    assert page.requests == {}


def test_middleware_added_later_is_seen_too(page):
    """What another middleware answers is what the client gets, and what is counted."""

    class Refuse(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return PlainTextResponse("no", status_code=429)

    app = Starlette(routes=[Route("/x", hello)])
    instrument(app, registry=page.registry)
    app.add_middleware(Refuse)
    with client(app) as http:
        assert http.get("/x").status_code == 429
    assert page.requests == {("GET", "unmatched", "429"): 1}


def test_the_page_is_served_and_not_counted(page):
    """GET /metrics answers with the content type that Prometheus 3 insists on, behind a root path too."""
    app = FastAPI()
    instrument(app, registry=page.registry, skip=("/health",))

    @app.get("/health")
    async def health():
        return "ok"

    with client(app, root_path="/api") as http:
        http.get("/health")
        answer = http.get("/metrics")
        assert http.post("/metrics").status_code == 404
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert page.requests == {("POST", "unmatched", "404"): 1}


def test_instrumenting_twice_is_harmless(page):
    """The second call gives the same observer, and each request counts once."""
    app = Starlette(routes=[Route("/x", hello)])
    assert instrument(app, registry=page.registry) is instrument(app, registry=page.registry)
    with client(app) as http:
        http.get("/x")
    assert page.requests == {("GET", "/x", "200"): 1}


def test_two_applications_of_one_process_are_both_counted(page):
    """They share the registry without "Duplicated timeseries" and without losing one of them."""
    for path in ("/a", "/b"):
        app = Starlette(routes=[Route(path, hello)])
        instrument(app, registry=page.registry)
        with client(app) as http:
            http.get(path)
    assert page.requests == {("GET", "/a", "200"): 1, ("GET", "/b", "200"): 1}


def test_uninstrument_leaves_the_application_as_it_was(page):
    """Nothing is counted or served any more, even in the running application."""
    app = Starlette(routes=[Route("/x", hello)])
    obs = instrument(app, registry=page.registry)
    with client(app) as http:
        http.get("/x")
        obs.uninstrument()
        assert http.get("/x").text == "hello"
        assert http.get("/metrics").status_code == 404
    assert page.requests == {("GET", "/x", "200"): 1}
    assert instrument(app, registry=page.registry) is not obs


def test_a_failure_of_ours_never_reaches_the_request(page, monkeypatch):
    """When recording fails the answer is still given, and the failure is counted."""
    app = Starlette(routes=[Route("/x", hello)])
    instrument(app, registry=page.registry)
    monkeypatch.setattr(Templates, "of", lambda self, scope: 1 / 0)
    with client(app) as http:
        assert http.get("/x").text == "hello"
    assert page.samples("watchkeeper_instrumentation_errors_total") == {("http",): 1}


def test_what_cannot_be_wrapped_is_refused_with_the_way_out(page):
    """An ASGI callable that is no Starlette application gets told about HTTPMetrics."""
    with pytest.raises(TypeError, match="HTTPMetrics"):
        instrument(lambda scope, receive, send: None, registry=page.registry)

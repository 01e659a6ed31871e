"""HTTP metrics of Flask, Django and bare WSGI applications on real servers."""

import asyncio
import io
import socket
import threading

import django
import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.decorators.http import require_GET
from flask import Flask, Response, abort, send_file
from prometheus_client import CollectorRegistry
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from exporter import instrument
from exporter.instrument.asgi import HTTPMetrics
from exporter.instrument.wsgi import WSGIMetrics
from exporter.store import Store
from tests.exporter.instrument.pages import Page, samples_of
from tests.exporter.instrument.wsgi_servers import gunicorn, wsgiref
from tests.waiting import wait_for


@pytest.fixture
def page():
    return Page(CollectorRegistry())


def bare(status="200 OK", body=(b"hello",), headers=()):
    """A WSGI application of one line."""

    def app(environ, start_response):
        start_response(status, list(headers))
        return body

    return app


# Flask


FLASK = """
from flask import Flask, Response
from exporter import instrument

app = Flask("served")
instrument(app)

@app.get("/users/<int:user>")
def user(user):
    return str(user)

@app.get("/endless")
def endless():
    def lines():
        while True:
            yield b"x" * 10_000
    return Response(lines())
"""


def test_flask_under_two_gunicorn_workers_gives_right_totals(tmp_path):
    """Whichever worker answers the scrape, it says what both have counted."""
    with gunicorn(tmp_path, FLASK, "--workers", "2") as http:
        for number in range(40):
            assert http.get(f"/users/{number}").text == str(number)
        for _ in range(6):
            text = http.get("/metrics").text
            assert samples_of(text, "http_requests_total")["GET", "/users/<int:user>", "200"] == 40
        # The answer is out before it is counted, but the next one is not taken before that.
        assert samples_of(text, "http_requests_in_progress")["GET", "/users/<int:user>"] == 0


def test_a_client_that_leaves_a_stream_is_a_499(tmp_path):
    """Hanging up is neither a success nor an error of the application."""

    def endless():
        text = http.get("/metrics").text
        return {k: v for k, v in samples_of(text, "http_requests_total").items() if k[1] == "/endless" and v}

    with gunicorn(tmp_path, FLASK, "--workers", "2") as http:
        with socket.create_connection((http.base_url.host, http.base_url.port)) as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100)
        wait_for(endless, 10, "the request to be counted")
        assert endless() == {("GET", "/endless", "499"): 1}
        assert samples_of(http.get("/metrics").text, "http_exceptions_total") == {}


def test_flask_routes_are_counted_by_their_rule(page):
    """Converted parameters, HEAD, OPTIONS, refused methods and aborts are known by the rule."""
    app = Flask("served")
    instrument(app, registry=page.registry)

    @app.get("/users/<int:user>")
    def user(user):
        return str(user) if user else abort(404)

    with wsgiref(app) as http:
        for number in range(3):
            http.get(f"/users/{number}")
        statuses = [http.request(m, "/users/1").status_code for m in ("HEAD", "OPTIONS", "POST", "BREW")]
        http.get("/users/x")
        http.get("/nowhere")
    assert statuses == [200, 200, 405, 405]
    rule = "/users/<int:user>"
    assert page.requests == {
        ("GET", rule, "200"): 2,
        ("GET", rule, "404"): 1,
        ("HEAD", rule, "200"): 1,
        ("OPTIONS", rule, "200"): 1,
        ("POST", rule, "405"): 1,
        ("other", rule, "405"): 1,
        ("GET", "unmatched", "404"): 2,
    }
    assert page.samples("http_response_size_bytes_sum")["HEAD", rule] == 0


def test_flask_exceptions_are_counted_whether_flask_answers_or_not(page):
    """Flask turns an exception into an answer; with PROPAGATE_EXCEPTIONS it reaches the server. Once each."""
    app = Flask("served")
    instrument(app, registry=page.registry)

    @app.get("/broken")
    def broken():
        raise KeyError("lost")

    with wsgiref(app) as http:
        assert http.get("/broken").status_code == 500
        app.config["PROPAGATE_EXCEPTIONS"] = True
        assert http.get("/broken").status_code == 500
    assert page.requests == {("GET", "/broken", "500"): 2}
    assert page.samples("http_exceptions_total") == {("/broken", "KeyError"): 2}


def test_a_stream_is_timed_to_its_last_byte(page):
    """Duration and size are those of the whole body; the request is in progress until then."""
    app = Flask("served")
    instrument(app, registry=page.registry)
    first, released = threading.Event(), threading.Event()

    @app.get("/stream")
    def stream():
        def body():
            yield b"first"
            first.set()
            released.wait(10)
            yield b"last"

        return Response(body())

    with wsgiref(app) as http:
        request = threading.Thread(target=http.get, args=("/stream",))
        request.start()
        assert first.wait(10)
        assert page.samples("http_requests_in_progress")["GET", "/stream"] == 1
        assert page.requests == {}
        released.set()
        request.join()
        wait_for(lambda: page.requests, 10, "the request to be counted")
    assert page.requests == {("GET", "/stream", "200"): 1}
    assert page.samples("http_response_size_bytes_sum") == {("GET", "/stream"): 9}
    assert set(page.samples("http_requests_in_progress").values()) == {0}


def test_the_500s_of_known_routes_exist_from_the_first_scrape(page):
    """`increase()` sees the first error only where the series was there before."""
    app = Flask("served", static_folder=None)
    instrument(app, registry=page.registry)
    app.add_url_rule("/pay", view_func=lambda: "paid", methods=["GET", "POST"])
    with wsgiref(app) as http:
        text = http.get("/metrics").text
    zero = {("GET", "/pay", "500"): 0, ("POST", "/pay", "500"): 0}
    assert samples_of(text, "http_requests_total") == zero


def test_an_application_mounted_in_another_is_known_by_its_own_rules(page):
    """The prefix comes from outside and is left out."""
    inner = Flask("inner")
    inner.add_url_rule("/x/<y>", view_func=lambda y: y)
    app = Flask("outer")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})
    instrument(app, registry=page.registry)
    with wsgiref(app) as http:
        assert http.get("/inner/x/1").text == "1"
    assert page.requests == {("GET", "/x/<y>", "200"): 1}


def test_a_file_is_left_to_the_server_and_still_counted(page):
    """The server's file wrapper passes through as it is, so that it can use sendfile."""
    app = Flask("served")
    instrument(app, registry=page.registry)
    app.add_url_rule("/file", view_func=lambda: send_file(io.BytesIO(b"x" * 20_000), "text/plain"))
    with wsgiref(app) as http:
        assert len(http.get("/file").content) == 20_000
        wait_for(lambda: page.requests, 10, "the request to be counted")
    assert page.requests == {("GET", "/file", "200"): 1}
    assert page.samples("http_response_size_bytes_sum") == {("GET", "/file"): 20_000}


def test_uninstrument_leaves_flask_as_it_was(page):
    """Nothing is counted or served any more, and the application's own function is back."""
    app = Flask("served")
    app.add_url_rule("/x", view_func=lambda: "x")
    before = app.wsgi_app
    obs = instrument(app, registry=page.registry)
    assert instrument(app, registry=page.registry) is obs
    with wsgiref(app) as http:
        http.get("/x")
        obs.uninstrument()
        assert http.get("/x").text == "x"
        assert http.get("/metrics").status_code == 404
    assert app.wsgi_app == before
    assert page.requests == {("GET", "/x", "200"): 1}


# Django


def broken(request):
    raise KeyError("lost")


def stream(request):
    return StreamingHttpResponse(iter([b"first", b"last"]))


@pytest.fixture(scope="session")
def configured():
    """Django's settings, which a process has once."""
    urls = (
        path("users/<int:user>/", require_GET(lambda request, user: HttpResponse(str(user)))),
        path("api/", include([path("items/<slug:item>", lambda request, item: HttpResponse(item))])),
        re_path(r"^old/(?P<year>[0-9]{4})/$", lambda request, year: HttpResponse(year)),
        path("broken", broken),
        path("stream", stream),
    )
    middleware = ["django.middleware.common.CommonMiddleware"]
    settings.configure(
        ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=middleware, LOGGING_CONFIG=None, USE_TZ=True
    )
    django.setup()


@pytest.fixture
def handler(configured, page):
    handler = get_wsgi_application()
    obs = instrument(handler, registry=page.registry)
    yield handler
    obs.uninstrument()


def test_django_routes_are_counted_by_their_pattern(handler, page):
    """Included patterns, regular expressions, redirects to the slash, refused methods and unknown paths."""
    with wsgiref(handler) as http:
        for url in ("/users/7/", "/users/8", "/api/items/a-b", "/old/2024/", "/stream", "/nowhere"):
            http.get(url)
        http.post("/users/7/")
        http.head("/users/7/")
        wait_for(lambda: len(page.requests) == 8, 10, "the requests to be counted")
    assert page.requests == {
        ("GET", "/users/<int:user>/", "200"): 1,
        ("GET", "unmatched", "301"): 1,
        ("GET", "/api/items/<slug:item>", "200"): 1,
        ("GET", "/old/(?P<year>[0-9]{4})/", "200"): 1,
        ("GET", "/stream", "200"): 1,
        ("GET", "unmatched", "404"): 1,
        ("POST", "/users/<int:user>/", "405"): 1,
        ("HEAD", "/users/<int:user>/", "405"): 1,
    }
    assert page.samples("http_response_size_bytes_sum")["GET", "/stream"] == 9


def test_django_exceptions_are_counted(handler, page):
    """Django answers 500 by itself; the exception is still known by type and route."""
    with wsgiref(handler) as http:
        assert http.get("/broken").status_code == 500
    assert page.requests == {("GET", "/broken", "500"): 1}
    assert page.samples("http_exceptions_total") == {("/broken", "KeyError"): 1}


def test_django_sees_nothing_of_us(handler, page):
    """Receivers that ask for signals of WSGIHandler get them, and uninstrument gives the class back."""
    seen = []

    def receiver(sender, **_):
        seen.append(sender)

    request_started.connect(receiver, sender=WSGIHandler)
    try:
        with wsgiref(handler) as http:
            http.get("/broken")
    finally:
        request_started.disconnect(receiver, sender=WSGIHandler)
    assert seen == [WSGIHandler]
    other = get_wsgi_application()
    instrument(other, registry=page.registry).uninstrument()
    assert type(other) is WSGIHandler


DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

urls = (path("users/<int:user>/", lambda request, user: HttpResponse(str(user))),)
settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])
app = get_wsgi_application()

from exporter import instrument
instrument(app)
"""


def test_django_under_gunicorn_threads_gives_right_totals(tmp_path):
    """Two workers with two threads each lose nothing, and end with nothing in progress."""
    with gunicorn(tmp_path, DJANGO, "--workers", "2", "--threads", "2") as http:
        asking = [threading.Thread(target=lambda: [http.get("/users/1/") for _ in range(20)]) for _ in "1234"]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()

        def counted():
            text = http.get("/metrics").text
            requests = samples_of(text, "http_requests_total").get(("GET", "/users/<int:user>/", "200"))
            return (requests, set(samples_of(text, "http_requests_in_progress").values())) == (80, {0})

        wait_for(counted, 10, "80 requests and none in progress")


# Any WSGI application


def test_the_answer_passes_through_untouched(page):
    """Status line, headers, body and the environ are the application's own."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        write = start_response("299 Odd", [("X-One", "1"), ("X-One", "2")], None)
        write(b"written ")
        return [b"returned"]

    layer = WSGIMetrics(app, Store.of(page.registry))
    with wsgiref(layer) as http:
        answer = http.get("/a/b?c=d")
    assert (answer.status_code, answer.reason_phrase, answer.text) == (299, "Odd", "written returned")
    assert answer.headers.get_list("x-one") == ["1", "2"]
    assert not [key for key in seen if "watch" in key.lower()]
    assert page.requests == {("GET", "unmatched", "299"): 1}
    assert page.samples("http_response_size_bytes_sum") == {("GET", "unmatched"): 16}


def test_a_list_of_one_piece_keeps_its_content_length(page):
    """Servers take it from the length of the list."""
    with wsgiref(WSGIMetrics(bare(body=[b"hello"]), Store.of(page.registry))) as http:
        assert http.get("/").headers["content-length"] == "5"


@pytest.mark.parametrize("where", ["call", "iter", "next"])
def test_an_exception_passes_through_and_is_a_500(page, where):
    """Raised at the call, at the start of the body or within it: the server gets the very exception."""

    class Body:
        def __iter__(self):
            if where == "iter":
                raise LookupError("at the start")
            yield b"half"
            raise LookupError("in the middle")

    def app(environ, start_response):
        start_response("200 OK", [])
        if where == "call":
            raise LookupError("at the call")
        return Body() if where == "next" else type("Late", (), {"__iter__": lambda self: {}["lost"]})()

    layer = WSGIMetrics(app, Store.of(page.registry))
    with pytest.raises(LookupError):
        list(layer({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
    assert page.requests == {("GET", "unmatched", "500"): 1}
    assert sum(page.samples("http_exceptions_total").values()) == 1
    assert page.samples("http_requests_in_progress") == {("GET", "unmatched"): 0}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", [], "499"), ("GET", [("Content-Length", "4")], "200"), ("HEAD", [], "200")],
)
def test_closing_early_is_a_499_unless_all_was_sent(page, method, headers, status):
    """A server may stop where the announced length ends, and need not ask for the body of a HEAD."""
    closed = []

    class Body:
        def __iter__(self):
            return iter([b"1234", b"5678"])

        def close(self):
            closed.append(True)

    layer = WSGIMetrics(bare(body=Body(), headers=headers), Store.of(page.registry))
    answer = layer({"REQUEST_METHOD": method, "PATH_INFO": "/"}, lambda *_: None)
    assert next(iter(answer)) == b"1234"
    answer.close()
    assert page.requests == {(method, "unmatched", status): 1}
    assert closed == [True]


def test_a_failure_of_ours_never_reaches_the_request(page, monkeypatch):
    """When recording fails the answer is still given, and the failure is counted."""
    monkeypatch.setattr(WSGIMetrics, "_record", lambda *_: 1 / 0)
    with wsgiref(WSGIMetrics(bare(), Store.of(page.registry))) as http:
        assert http.get("/").text == "hello"
    assert page.samples("watchkeeper_instrumentation_errors_total") == {("http",): 1}


def test_the_page_speaks_as_it_does_through_asgi(page):
    """Formats, gzip and token are the same; it is not counted, nor is what is skipped."""
    layer = WSGIMetrics(bare(), Store.of(page.registry), token="secret", skip=("/health",))
    with wsgiref(layer) as http:
        http.get("/health")
        refused = http.get("/metrics", headers={"authorization": "Bearer wrong"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        http.headers["authorization"] = "Bearer secret"
        plain = http.get("/metrics", headers={"accept-encoding": "identity"})
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        packed = http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text.endswith("# EOF\n")
        assert http.head("/metrics").content == b""
        assert http.post("/metrics").text == "hello"
    assert page.requests == {("POST", "unmatched", "200"): 1}


def test_gauges_are_published_while_a_worker_is_idle(page):
    """After its first request a worker tells what its pools do, whether it is asked again or not."""
    store = Store.of(page.registry)
    reads = []
    layer = WSGIMetrics(bare(), store)
    store.at_scrape(lambda: reads.append(1) or ())
    assert reads == []
    list(layer({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
    wait_for(lambda: len(reads) > 3, 10, "four rounds")


def test_asgi_and_wsgi_of_one_process_share_the_gauge(page):
    """Both have requests in progress that no route has been found for; neither takes away the other's."""
    store = Store.of(page.registry)

    async def never(scope, receive, send):
        await asyncio.Event().wait()

    async def run():
        asgi = HTTPMetrics(never, store)
        task = asyncio.ensure_future(
            asgi({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
        )
        await asyncio.sleep(0)
        wsgi = WSGIMetrics(bare(), store)
        answer = wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
        in_progress = [page.samples("http_requests_in_progress")]
        list(answer)
        in_progress.append(page.samples("http_requests_in_progress"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        in_progress.append(page.samples("http_requests_in_progress"))
        return [found["GET", "unmatched"] for found in in_progress]

    assert asyncio.run(run()) == [2, 1, 0]

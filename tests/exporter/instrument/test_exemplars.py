"""Durations of requests lead to their traces, where there is tracing."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from flask import Flask
from opentelemetry import trace
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter import instrument
from exporter.instrument import _trace
from exporter.instrument.asgi import HTTPMetrics
from exporter.store import Store
from tests.exporter.instrument.pages import samples_of
from tests.exporter.instrument.wsgi_servers import wsgiref
from tests.serving import serving
from tests.waiting import wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"
NOT_SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


def span(sampled=True):
    flags = trace.TraceFlags(int(sampled))
    context = trace.SpanContext(int(SPAN, 16), 1, is_remote=False, trace_flags=flags)
    return trace.use_span(trace.NonRecordingSpan(context))


async def hello(request):
    return PlainTextResponse("hello")


async def traced(request):
    """As a framework's instrumentation does: the span ends when the answer is out."""

    async def answer(scope, receive, send):
        with span(sampled=request.query_params.get("sampled") != "no"):
            await PlainTextResponse("traced")(scope, receive, send)

    return answer


def starlette():
    return Starlette(routes=[Route("/x", hello), Route("/traced", traced)])


def flask():
    app = Flask("served")
    app.add_url_rule("/x", view_func=lambda: "hello")

    @app.get("/traced")
    def traced():
        from flask import request

        inside = span(sampled=request.args.get("sampled") != "no")
        inside.__enter__()
        request.environ["span"] = inside
        return "traced"

    @app.teardown_request
    def end(_):
        from flask import request

        if "span" in request.environ:
            request.environ["span"].__exit__(None, None, None)

    return app


def page_of(http):
    return http.get("/metrics", headers={"accept": "application/openmetrics-text"}).text


def counted(http):
    return sum(samples_of(http.get("/metrics").text, "http_requests_total").values())


@pytest.fixture(params=["asgi", "wsgi"])
def ask(request):
    """Ask an application of either kind, and return the traces on its page by route."""
    make, serve = {"asgi": (starlette, serving), "wsgi": (flask, wsgiref)}[request.param]

    def ask(path, *headers, **options):
        app, registry = make(), CollectorRegistry()
        instrument(app, registry=registry, **options)
        with serve(app) as served:
            url = served if isinstance(served, str) else served.base_url
            with httpx.Client(base_url=url) as http:
                for header in headers:
                    assert (
                        http.get(path, headers={"traceparent": header} if header else {}).status_code == 200
                    )
                # WSGI counts when the last byte is out, which may be after the client has it.
                wait_for(lambda: counted(http) == len(headers), 10, "all are counted")
                page = page_of(http)
        return {
            (sample.name, sample.labels["route"]): sample.exemplar.labels
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.exemplar
        }

    return ask


DURATION = "http_request_duration_seconds_bucket"


def test_a_traceparent_header_is_enough(ask):
    """Also where nothing traces here: a gateway, or the client, may have begun the trace."""
    assert ask("/x", HEADER) == {(DURATION, "/x"): {"trace_id": TRACE}}


def test_the_span_around_a_request_goes_before_its_header(ask):
    """OpenTelemetry knows the trace that is really kept."""
    assert ask("/traced", HEADER) == {(DURATION, "/traced"): {"trace_id": SPAN}}
    assert ask("/traced", "") == {(DURATION, "/traced"): {"trace_id": SPAN}}


def test_a_trace_that_nobody_keeps_is_not_noted(ask):
    """Neither by its header nor by its span, which is right also where the header says otherwise."""
    assert ask("/x", NOT_SAMPLED) == {}
    assert ask("/traced?sampled=no", HEADER) == {}


def test_no_header_and_nonsense_change_nothing(ask):
    """Whoever sends rubbish gets an answer, and no exemplar."""
    assert ask("/x", "", "nonsense", f"ff{HEADER[2:]}", HEADER.replace(TRACE, "0" * 32), HEADER + "x") == {}
    assert ask("/x", HEADER.upper()) == {}


def test_exemplars_can_be_switched_off(ask):
    """`exemplars=False`: no trace is looked for."""
    assert ask("/x", HEADER, exemplars=False) == {}


def test_later_versions_of_the_header_are_understood():
    """They may append what we need not know."""
    assert _trace.of_header(f"01-{TRACE}-00f067aa0ba902b7-03-more".encode()).hex() == TRACE
    assert _trace.of_header(f"01-{TRACE}-00f067aa0ba902b7-02".encode()) == _trace.NOT_KEPT


def test_who_has_no_traces_is_hardly_asked(monkeypatch):
    """Of many fast requests without one, a few are asked between two ticks; of slow ones all."""
    looks = []
    monkeypatch.setattr(_trace, "of_request", lambda headers: looks.append(1))
    store = Store.of(CollectorRegistry())
    seconds = 0.0

    async def app(scope, receive, send):
        await asyncio.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        pass

    async def run():
        nonlocal seconds
        layer = HTTPMetrics(app, store)

        async def ask(times):
            looks.clear()
            for _ in range(times):
                await layer({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)
            return len(looks)

        assert 20 <= await ask(1000) < 100
        store.tick()
        assert 20 <= await ask(1000) < 100
        seconds = 0.006
        assert await ask(3) == 3

    asyncio.run(run())


def test_opentelemetry_is_never_imported_by_us():
    """It is looked for among what the application has imported."""
    code = """
import sys
import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from exporter import instrument
from tests.serving import serving

app = Starlette()
instrument(app, registry=CollectorRegistry())
with serving(app) as url:
    httpx.get(url, headers={"traceparent": sys.argv[1]})
    page = httpx.get(url + "/metrics", headers={"accept": "application/openmetrics-text"}).text
assert "trace_id" in page
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code, HEADER], cwd=root, check=True, env={"PYTHONPATH": "."})

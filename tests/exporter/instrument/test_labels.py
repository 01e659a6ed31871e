"""Labels that an application adds to its HTTP metrics: constant ones, and the tenant of each request."""

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from flask import Flask
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.sync.client import connect

from exporter import instrument
from exporter.instrument import _http
from exporter.instrument._http import HTTPSeries
from exporter.store import Store
from tests.exporter.instrument.pages import Page
from tests.exporter.instrument.wsgi_servers import wsgiref
from tests.serving import serving
from tests.waiting import wait_for


@pytest.fixture
def page():
    return Page(CollectorRegistry())


async def hello(request):
    request.state.tenant = request.query_params.get("tenant")
    return PlainTextResponse("hello")


async def broken(request):
    request.state.tenant = "acme"
    raise KeyError("lost")


def starlette():
    return Starlette(routes=[Route("/x", hello), Route("/broken", broken)])


def tenant_of(scope):
    return scope["state"].get("tenant")


def asked(page, name, label):
    """The values of one label, and how often each."""
    found = {}
    for family in page.registry.collect():
        for sample in family.samples:
            if sample.name == name and sample.value:
                value = sample.labels[label]
                found[value] = found.get(value, 0) + sample.value
    return found


def test_constant_labels_stand_on_every_http_metric(page):
    """Requests, durations, sizes, exceptions, requests in progress and WebSockets; nothing else."""
    app = FastAPI()
    obs = instrument(app, registry=page.registry, labels={"region": "eu", "shard": "7"})

    @app.get("/broken")
    def broken():
        page.samples("http_requests_in_progress")  # a scrape while this is in progress
        raise KeyError("lost")

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.close()

    obs.cache("sessions").hit()
    with serving(app, ws="websockets-sansio") as url:
        assert httpx.get(f"{url}/broken").status_code == 500
        with connect(url.replace("http", "ws") + "/ws") as socket:
            wait_for(lambda: page.samples("websocket_connections_total"), 10, "the connection")
            socket.close()
    assert page.requests == {("GET", "/broken", "500", "eu", "7"): 1}
    with_labels = set()
    for family in page.registry.collect():
        for sample in family.samples:
            if sample.labels.get("region") == "eu" and sample.labels.get("shard") == "7":
                with_labels.add(family.name)
    assert with_labels == {
        "http_requests",
        "http_request_duration_seconds",
        "http_requests_in_progress",
        "http_response_size_bytes",
        "http_exceptions",
        "active_connections",
        "websocket_connections",
    }


def test_applications_of_a_registry_may_have_other_values(page):
    """What they have to agree on are the names."""
    for name in ("shop", "admin"):
        app = starlette()
        instrument(app, registry=page.registry, labels={"application": name})
        with serving(app) as url:
            httpx.get(f"{url}/x")
    assert page.requests == {("GET", "/x", "200", "shop"): 1, ("GET", "/x", "200", "admin"): 1}


@pytest.mark.parametrize("options", [{}, {"labels": {"zone": "a"}}, {"tenant": tenant_of}])
def test_other_labels_on_one_registry_are_refused(page, options):
    """One metric has one set of labels; the message says both, and what to do."""
    instrument(starlette(), registry=page.registry, labels={"region": "eu"})
    with pytest.raises(ValueError, match=r"\['region'\].*registry of its own"):
        instrument(starlette(), registry=page.registry, **options)
    with pytest.raises(ValueError, match=r"\['region'\].*registry of its own"):
        instrument(Flask("served"), registry=page.registry, **options)


@pytest.mark.parametrize("name", ["route", "instance", "with space", "__own"])
def test_a_label_that_cannot_be_is_refused_at_once(page, name):
    """Malformed, reserved or taken names are an error at the start, not a page that nobody can read."""
    app = starlette()
    with pytest.raises(ValueError, match="label"):
        instrument(app, registry=page.registry, labels={name: "x"})
    instrument(app, registry=page.registry, labels={"region": "eu"})  # and leave nothing behind


def test_requests_are_counted_by_tenant(page):
    """The function sees what the application has put into the scope; None is the empty label."""
    app = starlette()
    instrument(app, registry=page.registry, tenant=tenant_of, labels={"region": "eu"})
    with serving(app) as url, httpx.Client(base_url=url) as http:
        for path in ("/x?tenant=acme", "/x?tenant=acme", "/x?tenant=umbrella", "/x", "/broken", "/nowhere"):
            http.get(path)
    assert page.requests == {
        ("GET", "/x", "200", "eu", "acme"): 2,
        ("GET", "/x", "200", "eu", "umbrella"): 1,
        ("GET", "/x", "200", "eu", ""): 1,
        ("GET", "/broken", "500", "eu", "acme"): 1,
        ("GET", "unmatched", "404", "eu", ""): 1,
    }
    assert asked(page, "http_request_duration_seconds_count", "tenant") == {"acme": 3, "umbrella": 1, "": 2}
    assert asked(page, "http_response_size_bytes_count", "tenant") == {"acme": 3, "umbrella": 1, "": 2}
    assert page.samples("http_exceptions_total") == {("/broken", "KeyError", "eu", "acme"): 1}


def test_the_first_error_of_a_tenant_is_seen_as_an_increase(page):
    """With its first request on a route, a tenant has the 500s of that route at 0."""
    app = starlette()
    instrument(app, registry=page.registry, tenant=tenant_of)
    with serving(app) as url:
        httpx.get(f"{url}/x?tenant=acme")
    assert page.samples("http_requests_total")["GET", "/x", "500", "acme"] == 0


def test_wsgi_requests_are_counted_by_tenant(page):
    """There the function gets the environ."""
    app = Flask("served")
    app.add_url_rule("/x", view_func=lambda: "x")
    instrument(app, registry=page.registry, tenant=lambda environ: environ.get("HTTP_X_TENANT"))
    with wsgiref(app) as http:
        http.get("/x", headers={"x-tenant": "acme"})
        http.get("/x")
    assert page.requests == {("GET", "/x", "200", "acme"): 1, ("GET", "/x", "200", ""): 1}


def test_tenants_are_bounded(page):
    """The first hundred have their own series; those after them, and names without end, share one."""
    series = HTTPSeries(Store.of(page.registry), tenant=lambda request: request)
    seen = [series.added("x" * 5000), *(series.added(number) for number in range(1000))]
    assert seen[0] == ("other",)
    assert seen[1:101] == [(str(number),) for number in range(100)]
    assert set(seen[101:]) == {("other",)}
    assert series.added(7) == ("7",)


def test_a_function_that_fails_is_other_and_is_told(page):
    """The request is counted all the same, and the failure is in our own counter."""
    app = starlette()
    instrument(app, registry=page.registry, tenant=lambda scope: scope["no such key"])
    with serving(app) as url:
        assert httpx.get(f"{url}/x").text == "hello"
    assert page.requests == {("GET", "/x", "200", "other"): 1}
    assert page.samples("watchkeeper_instrumentation_errors_total") == {("tenant",): 1}


def test_a_tenant_that_is_no_text_cannot_spoil_the_page(page):
    """Half a surrogate comes out of headers that are not UTF-8."""
    series = HTTPSeries(Store.of(page.registry), tenant=lambda request: "a\udcffb")
    series.requests.labels("GET", "/x", "200", *series.added({})).inc()
    assert page.requests == {("GET", "/x", "200", "a?b"): 1}


def test_tenants_never_cost_the_routes_their_names(page, monkeypatch):
    """A metric that is nearly full makes no more series for tenants, so it never overflows as a whole."""
    monkeypatch.setattr(_http, "_CROWDED", 10)
    app = starlette()
    instrument(app, registry=page.registry, tenant=tenant_of)
    with serving(app) as url, httpx.Client(base_url=url) as http:
        for number in range(30):
            http.get(f"/x?tenant={number}")
    tenants = asked(page, "http_requests_total", "tenant")
    assert sum(tenants.values()) == 30
    assert tenants["other"] == 25  # five had two series each: what they got, and the 500s at 0
    assert {route for _, route, *_ in page.requests} == {"/x"}

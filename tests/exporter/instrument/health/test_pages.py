"""The four pages: what they say to whom, in both formats, around applications of every kind."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from exporter import instrument
from exporter.instrument.health import degraded, unhealthy
from exporter.store import Store
from tests.exporter.instrument.health.driving import (
    DETAILED,
    QUICK,
    Application,
    component,
    hello,
    wait_for_status,
)
from tests.exporter.instrument.pages import Page
from tests.exporter.instrument.wsgi_servers import gunicorn, wsgiref
from tests.waiting import wait_for

PAGES = ("/health", "/health/ready", "/api/v1/health", DETAILED)
STANDARD = {"Accept": "application/health+json"}


def seeds(application):
    """Checks that give the picture that this was asked for with."""
    health = application.health
    health.check("database")(lambda: None)
    health.check("redis")(lambda: None)
    health.check("stripe", group="integrations")(lambda: None)
    health.check("clickup", group="integrations")(lambda: degraded("rate_limited"))


def test_the_detailed_page_has_the_promised_shape():
    """Components by name with status and latency, groups inside; whatever is not healthy says why."""
    application = Application()
    seeds(application)
    with application.served() as http:
        wait_for_status(http, "clickup", "degraded", "integrations")
        answer = http.get(DETAILED)
    told = answer.json()
    for name in ("database", "redis"):
        assert told[name].pop("latency_ms") >= 0
    assert told == {
        "database": {"status": "healthy"},
        "redis": {"status": "healthy"},
        "integrations": {
            "stripe": {"status": "healthy"},
            "clickup": {"status": "degraded", "error": "rate_limited"},
        },
    }
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["age"]) < 5


def test_who_accepts_the_standard_media_type_gets_it():
    """pass, warn and fail, with measurements and times, as the draft for health+json has them."""
    application = Application()
    seeds(application)
    with application.served() as http:
        wait_for_status(http, "clickup", "degraded", "integrations")
        answer = http.get(DETAILED, headers=STANDARD)
        told = answer.json()
        assert answer.headers["content-type"] == "application/health+json"
        assert told["status"] == "warn"
        (database,) = told["checks"]["database:responseTime"]
        assert (database["status"], database["observedUnit"]) == ("pass", "ms")
        assert database["time"].endswith("+00:00")
        assert told["checks"]["integrations/clickup"][0]["output"] == "rate_limited"
        assert http.get("/health", headers=STANDARD).json() == {"status": "pass"}


@pytest.mark.parametrize(
    ("critical", "outcome", "expected"),
    [
        (True, None, (200, "healthy")),
        (True, degraded(), (200, "degraded")),
        (True, unhealthy(), (503, "unhealthy")),
        (False, unhealthy(), (200, "degraded")),
    ],
)
def test_critical_components_alone_make_a_503(critical, outcome, expected):
    """A broken extra is told, and takes nobody out of service; /health looks at no component at all."""
    application = Application()
    application.health.check("x", critical=critical)(lambda: outcome)
    with application.served() as http:
        wait_for(lambda: component(http, "x")["status"] != "unknown")
        answer = http.get("/api/v1/health")
        assert (answer.status_code, answer.json()["status"]) == expected
        assert http.get(DETAILED).status_code == expected[0]
        assert http.get("/health").status_code == 200
        assert http.get("/health/ready").status_code == 200


def test_readiness_asks_for_what_is_listed_alone():
    """A shared server that is away takes an instance out only where somebody wants that."""
    application = Application()
    application.health.check("shared", critical=True)(lambda: False)
    state = threading.Event()
    application.health.check("own", ready=True)(state.is_set)
    with application.served() as http:
        wait_for_status(http, "own", "unhealthy")
        assert http.get("/health/ready").status_code == 503
        state.set()
        wait_for_status(http, "own", "healthy")
        assert http.get("/health/ready").status_code == 200
        assert http.get("/api/v1/health").status_code == 503


def asks(application, client, **headers):
    """The status code that the detailed page has for a client with this address."""

    async def run():
        transport = httpx.ASGITransport(application.app, client=(client, 1) if client else None)
        async with httpx.AsyncClient(transport=transport, base_url="http://app", verify=False) as http:
            return (await http.get(DETAILED, headers=headers)).status_code

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("10.1.2.3", {}, 200),
        ("172.31.0.1", {}, 200),
        ("192.168.7.7", {}, 200),
        ("::1", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("fd00::7", {}, 200),
        ("172.32.0.1", {}, 403),
        ("8.8.8.8", {}, 403),
        ("::ffff:8.8.8.8", {}, 403),
        ("2001:db8::1", {}, 403),
        ("", {}, 403),
        ("testclient", {}, 403),
        ("8.8.8.8", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "8.8.8.8"}, 403),
        ("10.0.0.1", {"Forwarded": "for=10.0.0.2"}, 403),
    ],
)
def test_without_a_token_the_details_are_for_private_networks(client, headers, status):
    """By the address of the socket; what a proxy has passed on says nothing that we believe."""
    application = Application()
    assert asks(application, client, **headers) == status
    application.obs.uninstrument()


def test_with_a_token_the_details_are_for_those_who_have_it():
    """From anywhere, and nobody else; the metrics page's token serves here too."""
    application = Application(token="secret")
    assert asks(application, "8.8.8.8", Authorization="Bearer secret") == 200
    assert asks(application, "127.0.0.1", Authorization="Bearer sesame") == 401
    assert asks(application, "127.0.0.1", Authorization=b"Bearer \xff") == 401
    assert asks(application, "127.0.0.1") == 401
    application.obs.uninstrument()


def test_a_refusal_and_the_public_pages_name_no_component():
    """Who may not see the details learns one word."""
    application = Application(token="secret")
    application.health.check("hidden_thing")(lambda: False)
    with application.served() as http:
        for page in PAGES:
            assert "hidden_thing" not in http.get(page).text


def test_routes_of_the_application_stay():
    """A /health of its own is answered by it, mounted ones too; a route for everything takes none away."""
    api = Mount("/api", routes=[Route("/v1/health", hello)])
    routes = [Route("/health", hello), api, Route("/{rest:path}", hello)]
    application = Application(routes=routes)
    with application.served() as http:
        assert [http.get(page).text for page in ("/health", "/api/v1/health")] == ["hello", "hello"]
        assert http.get("/health/ready").json() == {"status": "healthy"}
    application = Application(routes=routes, health={**QUICK, "override": True})
    with application.served() as http:
        assert http.get("/health").json() == {"status": "healthy"}


def test_the_pages_are_not_counted_and_other_requests_are():
    """Probes every second would be most of the requests of a small application."""
    application = Application()
    with application.served() as http:
        for page in PAGES:
            http.get(page)
        assert http.head("/health").content == b""
        assert http.post("/health").status_code == 404
        http.get("/")
    requests = Page(application.registry).requests
    assert requests == {("GET", "/", "200"): 1, ("POST", "unmatched", "404"): 1}


def test_it_is_found_behind_a_root_path():
    """A proxy that passes a prefix on, as uvicorn's root_path has it."""
    application = Application()
    with application.served(root_path="/shop") as http:
        assert http.get("/health").json() == {"status": "healthy"}


def test_uninstrument_takes_it_off():
    """The pages are gone, and no thread of ours is left."""
    application = Application()
    application.health.check("x")(lambda: None)
    with application.served() as http:
        wait_for_status(http, "x", "healthy")
        application.obs.uninstrument()
        assert http.get("/health").status_code == 404
        assert not application.health.checker.running
        names = [thread.name for thread in threading.enumerate()]
        assert "watchkeeper-health" not in names


def test_switched_off_it_is_not_even_imported():
    """Neither module nor thread nor page; switched on, it needs nothing that is not there."""
    code = (
        "import sys; from starlette.applications import Starlette; from exporter import instrument\n"
        "app = Starlette(); instrument(app, health=False)\n"
        "print(any('health' in name for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_application_that_runs_already_gets_the_pages():
    """Instrumented after its first request."""
    app = Starlette(routes=[Route("/", hello)])
    application = Application()
    application.app = app
    with application.served() as http:
        assert http.get("/health").status_code == 404
        obs = instrument(app, registry=CollectorRegistry(), health=QUICK)
        assert http.get("/health").json() == {"status": "healthy"}
        obs.uninstrument()


def test_an_option_that_is_none_is_refused():
    """At once, not at the first request."""
    app = Starlette()
    with pytest.raises(TypeError, match="tokn"):
        instrument(app, registry=CollectorRegistry(), health={"tokn": "x"})
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        instrument(Starlette(), registry=CollectorRegistry(), health={"networks": ["10.0.0"]})


def test_flask_answers_the_same_pages():
    """From threads, with its own routes left to it, and its checks beginning with the first request."""
    app = Flask("shop")
    app.get("/api/v1/health")(lambda: "mine")
    registry = CollectorRegistry()
    obs = instrument(app, registry=registry, health=QUICK)
    obs.health.check("x", critical=True)(lambda: None)

    @obs.health.check("coroutine")
    async def coroutine():
        pass

    with wsgiref(app) as http:
        wait_for_status(http, "x", "healthy")
        wait_for_status(http, "coroutine", "healthy")
        assert http.get("/health").json() == {"status": "healthy"}
        assert http.get("/health/ready").headers["content-type"] == "application/json"
        assert http.get("/api/v1/health").text == "mine"
        assert http.get(DETAILED, headers={"X-Real-IP": "127.0.0.1"}).status_code == 403
        assert http.head("/health").content == b""
        obs.uninstrument()
        assert http.get("/health").status_code == 404
    assert Store.of(registry).page().count(b'status="200"') == 1  # the application's own route


DJANGO = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, re_path
from exporter import instrument

def own(request, **_):
    return HttpResponse("mine")

urlpatterns = [path("api/v1/health", own), re_path("^.*$", own)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False, SECRET_KEY="x")
app = get_wsgi_application()
obs = instrument(app, health={"period": 0.1})
obs.health.check("x")(lambda: None)
"""


def test_django_answers_the_same_pages_under_gunicorn(tmp_path):
    """Preloaded, in two workers of which each checks for itself."""
    with gunicorn(tmp_path, DJANGO, "--preload", "--workers", "2", "--threads", "2") as http:
        assert http.get("/health").json() == {"status": "healthy"}
        wait_for_status(http, "x", "healthy")
        assert http.get("/api/v1/health").text == "mine"
        wait_for(lambda: 'health_component_up{component="x"} 1.0' in http.get("/metrics").text)


def test_the_json_is_as_small_as_it_looks():
    """Nothing in a page comes from an exception, a host name or the process."""
    application = Application()

    @application.health.check("x")
    def leaks():
        raise RuntimeError(f"password=hunter2 {Path.cwd()}")

    with application.served() as http:
        wait_for_status(http, "x", "unhealthy", error="error")
        for page in PAGES:
            for accept in ("application/json", *STANDARD.values()):
                text = http.get(page, headers={"Accept": accept}).text
                assert "hunter2" not in text
                assert str(Path.cwd()) not in text
                json.loads(text)

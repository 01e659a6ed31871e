"""The ready checks against real servers: well, away, frozen, refusing, limited."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import asyncpg
import httpx
import openai
import pytest
import redis
import redis.asyncio
import sqlalchemy
from apscheduler.schedulers.background import BackgroundScheduler
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import create_async_engine

from exporter.instrument.ai import RESET, USED
from exporter.testing import FakeAI
from tests.exporter.instrument.health.driving import (
    DETAILED,
    Application,
    client,
    component,
    wait_for_status,
)
from tests.serving import serving
from tests.waiting import wait_for


def goes_and_comes(http, name, server, gone, back, reasons):
    """Healthy, then not with one of these reasons, then healthy again, by itself."""
    found = wait_for_status(http, name, "healthy")
    assert found["latency_ms"] < 2000
    gone()
    found = wait_for_status(http, name, "unhealthy")
    wait_for(lambda: component(http, name)["error"] in reasons, message=f"one of {reasons}")
    text = http.get(DETAILED).text
    assert str(server.port) not in text
    assert "127.0.0.1" not in text
    back()
    wait_for_status(http, name, "healthy")


@pytest.mark.parametrize("kind", ["asyncpg", "sqlalchemy", "sqlalchemy async"])
def test_a_postgres_that_goes_and_comes_is_told(kind, own_postgres):
    """Stopped, frozen, and back, through each kind of pool; no address or text of an error is told."""

    @asynccontextmanager
    async def prepare(obs):
        url = own_postgres.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        if kind == "asyncpg":
            async with asyncpg.create_pool(own_postgres.dsn, min_size=1, max_size=2) as pool:
                obs.health.asyncpg("database", pool, critical=True)
                yield
        elif kind == "sqlalchemy":
            url = own_postgres.dsn.replace("postgresql://", "postgresql+psycopg://", 1)
            engine = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 2})
            obs.health.sqlalchemy("database", engine, critical=True)
            yield
            engine.dispose()
        else:
            engine = create_async_engine(url, pool_pre_ping=True)
            obs.health.sqlalchemy("database", engine, critical=True)
            yield
            await engine.dispose()

    application = Application(prepare)
    away = {"refused", "unavailable", "timeout"}
    with application.served() as http:
        goes_and_comes(http, "database", own_postgres, own_postgres.stop, own_postgres.restart, away)
        assert http.get("/api/v1/health").status_code == 200
        wait_for(lambda: application.value("dependency_up", dependency="database") == 1)
        own_postgres.freeze()
        wait_for_status(http, "database", "unhealthy", error="timeout")
        assert http.get("/api/v1/health").status_code == 503
        assert http.get("/health").status_code == 200
        own_postgres.thaw()
        wait_for_status(http, "database", "healthy")


@pytest.mark.parametrize("module", [redis, redis.asyncio], ids=["sync", "async"])
def test_a_redis_that_goes_and_comes_is_told(module, own_redis):
    """Both kinds of client."""

    @asynccontextmanager
    async def prepare(obs):
        client = module.Redis.from_url(own_redis.url, socket_timeout=1)
        obs.health.redis("redis", client)
        yield
        if module is redis:
            client.close()
        else:
            await client.aclose()

    with Application(prepare).served() as http:
        away = {"refused", "unavailable"}
        goes_and_comes(http, "redis", own_redis, own_redis.stop, own_redis.restart, away)


def test_a_wrong_password_is_auth(redis_server):
    """The one word that sends a reader to the right place."""

    @asynccontextmanager
    async def prepare(obs):
        url = httpx.URL(redis_server.url)
        no_more = Retry(NoBackoff(), 0)  # else redis-py tries for seconds, and the word is timeout
        client = redis.asyncio.Redis(host=url.host, port=url.port, password="wrong-hunter2", retry=no_more)
        obs.health.redis("redis", client)
        yield
        await client.aclose()

    with Application(prepare).served() as http:
        wait_for_status(http, "redis", "unhealthy", error="auth")
        assert "hunter2" not in http.get(DETAILED).text


def test_a_scheduler_tells_how_many_jobs_are_pending():
    """Running, paused, stopped; paused jobs do not wait for a run."""
    application = Application()
    scheduler = BackgroundScheduler(timezone="UTC")
    for number in range(3):
        scheduler.add_job(lambda: None, "interval", hours=1, id=str(number))
    scheduler.start()
    scheduler.pause_job("0")
    application.health.apscheduler(scheduler)
    with application.served() as http:
        wait_for_status(http, "scheduler", "healthy", jobs_pending=2)
        assert set(component(http, "scheduler")) == {"status", "jobs_pending"}
        standard = http.get(DETAILED, headers={"Accept": "application/health+json"}).json()
        assert standard["checks"]["scheduler:jobsPending"][0]["observedValue"] == 2
        scheduler.pause()
        wait_for_status(http, "scheduler", "degraded", error="stopped")
        scheduler.shutdown()
        wait_for_status(http, "scheduler", "unhealthy", error="stopped")


def test_ai_providers_tell_what_their_last_headers_said():
    """The fullest of their limits, as a share; nothing is asked, and nothing is invented."""
    application = Application()
    health = application.health
    health.ai("openai", "anthropic")
    with application.served() as http, FakeAI() as fake:
        fake.register(application.obs.ai)
        client = openai.OpenAI(base_url=fake.openai_url, api_key="none")

        def ask():
            client.chat.completions.create(model="m", messages=[])

        group = "ai_providers"
        wait_for(lambda: component(http, "openai", group) == {"status": "unknown", "error": "pending"})
        assert http.get("/api/v1/health").json() == {"status": "healthy"}
        fake.limit_openai(requests=(500, 300), tokens=(30000, 27000))
        ask()
        wait_for_status(http, "openai", "healthy", group, rate_limit="40%")
        assert component(http, "anthropic", group)["status"] == "unknown"
        fake.limit_openai(requests=(500, 10), tokens=(30000, 27000))
        ask()
        wait_for_status(http, "openai", "degraded", group, rate_limit="98%", error="rate_limited")
        client.close()


def test_a_rate_limit_is_whole_again_after_its_reset():
    """An old header is no reason for an alarm: after the time that it named, nothing is used."""
    application = Application()
    application.health.ai("openai")
    store = application.obs.store

    def said(ratio, seconds):
        USED.on(store).labels("openai", "m", "tokens").set(ratio)
        RESET.on(store).labels("openai", "m", "tokens").set(time.time() + seconds)

    with application.served() as http:
        said(0.97, 60)
        wait_for_status(http, "openai", "degraded", "ai_providers", rate_limit="97%")
        said(0.97, -1)
        wait_for_status(http, "openai", "healthy", "ai_providers", rate_limit="0%")


@contextmanager
def service(answers):
    """A service that answers as the dictionary says: status and headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers["asked"] = answers.get("asked", 0) + 1
            answers["key"] = self.headers.get("Authorization")
            self.send_response(answers["status"])
            for name, value in answers.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/ping"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "expected", "reason"),
    [
        (200, "healthy", None),
        (302, "healthy", None),
        (429, "degraded", "rate_limited"),
        (401, "unhealthy", "auth"),
        (404, "unhealthy", "error"),
        (503, "unhealthy", "unavailable"),
    ],
)
def test_an_integration_is_what_its_status_code_says(status, expected, reason):
    """Limited is degraded; a redirect is an answer, and is not followed with our keys."""
    answers = {"status": status, "headers": {"Location": "http://127.0.0.1:9/"}}
    application = Application()
    with service(answers) as url, application.served() as http:
        application.health.http("stripe", url, headers={"Authorization": "Bearer key"})
        wait_for(lambda: component(http, "stripe", "integrations"))
        found = wait_for_status(http, "stripe", expected, "integrations")
        assert found.get("error") == reason
        assert answers["key"] == "Bearer key"
        up = int(expected != "unhealthy")
        wait_for(lambda: application.value("dependency_up", dependency="stripe") == up)


def test_an_integration_that_limits_us_is_left_alone():
    """Retry-After is kept to: a check that is answered by 429 does not make it worse."""
    answers = {"status": 429, "headers": {"Retry-After": "60"}}
    application = Application()
    with service(answers) as url, application.served() as http:
        application.health.http("clickup", url)
        wait_for_status(http, "clickup", "degraded", "integrations", error="rate_limited")
        asked = answers["asked"]
        runs = []
        application.health.check("other")(lambda: runs.append(1))
        wait_for(lambda: len(runs) > 5)
        assert answers["asked"] == asked == 1
        assert component(http, "clickup", "integrations")["status"] == "degraded"


def test_an_integration_that_is_away_says_how():
    """Nobody listens, no such name: two words, two places to look."""
    application = Application()
    application.health.http("closed", "http://127.0.0.1:9/")
    application.health.http("nameless", "http://nothing.invalid/")
    with application.served() as http:
        wait_for_status(http, "closed", "unhealthy", "integrations", error="refused")
        wait_for(lambda: component(http, "nameless", "integrations")["error"] in ("dns", "timeout"))


def test_only_http_addresses_are_asked():
    """A file is no integration."""
    with pytest.raises(ValueError, match="not file:"):
        Application().health.http("x", "file:///etc/passwd")


def test_sentry_is_what_its_delivery_says():
    """A word where events do not arrive: degraded, because the application works without."""
    said = [None]
    application = Application()
    application.health.sentry(lambda: said[0], critical=True)
    with application.served() as http:
        wait_for(lambda: component(http, "sentry") == {"status": "unknown", "error": "pending"})
        for word, status in (("", "healthy"), ("rate_limited", "degraded"), ("any text", "degraded")):
            said[0] = word
            wait_for_status(http, "sentry", status)
        wait_for_status(http, "sentry", "degraded", error="error")
        assert http.get("/api/v1/health").status_code == 200


def test_sentry_without_a_word_of_ours_asks_its_sdk():
    """Not in use is told; a client that can send is healthy."""
    sentry_sdk = pytest.importorskip("sentry_sdk")
    application = Application()
    application.health.sentry()
    with application.served() as http:
        wait_for_status(http, "sentry", "degraded", error="stopped")
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False)
        try:
            wait_for_status(http, "sentry", "healthy")
        finally:
            sentry_sdk.init(default_integrations=False)
        wait_for_status(http, "sentry", "degraded", error="stopped")


def test_a_pool_of_another_loop_is_asked_in_its_own(postgres):
    """Registered where it was made, so it works whichever loop serves the pages."""
    application = Application()
    ready, end = threading.Event(), threading.Event()

    async def own():
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            application.health.asyncpg("database", pool)
            ready.set()
            while not end.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(own()))
    thread.start()
    assert ready.wait(10)
    with serving(application.app) as url, client(url) as http:
        wait_for_status(http, "database", "healthy")
        application.obs.uninstrument()
    end.set()
    thread.join()

"""Checks in the background: their time, their verdicts, and that a bad one harms nobody."""

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter.instrument.health import REASONS, degraded, unhealthy
from exporter.instrument.health._check import Check, Settings
from exporter.instrument.health._findings import Finding, reason_of
from exporter.instrument.health._summary import overall
from tests.exporter.instrument.health.driving import (
    DETAILED,
    QUICK,
    Application,
    client,
    component,
    wait_for_status,
)
from tests.serving import serving
from tests.waiting import wait_for

LAST = "health_component_last_check_timestamp_seconds"


def quickest(http, path, times=5):
    """The shortest time that an answer took: the machine's own noise is not in it."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        assert http.get(path).status_code == 200
        seconds.append(time.perf_counter() - started)
    return min(seconds)


@contextlib.contextmanager
def released(event):
    """Let go in the end, whatever became of the test: else its server could not stop."""
    try:
        yield
    finally:
        event.set()


def test_a_dependency_that_hangs_for_a_minute_delays_nothing():
    """A silent server, asked by a coroutine and by a thread: every page answers in milliseconds meanwhile."""
    release, asked = threading.Event(), []
    application = Application()

    @application.health.check("coroutine")
    async def coroutine():
        asked.append("coroutine")
        await asyncio.sleep(60)

    @application.health.check("thread")
    def thread():
        asked.append("thread")
        release.wait(60)

    @application.health.check("deaf")
    async def deaf():
        while not release.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                asked.append("deaf")

    with application.served() as http, released(release):
        for name in ("coroutine", "thread", "deaf"):
            wait_for_status(http, name, "unhealthy", error="timeout")
        for page in ("/health", "/health/ready", "/api/v1/health", DETAILED, "/"):
            assert quickest(http, page) < 0.1
        # A run that cannot be ended is not joined by another one; what is shown of it stays young.
        until = time.time() + 1
        wait_for(lambda: (application.value(LAST, component="thread") or 0) > until)
        assert asked.count("thread") == 1
        assert asked.count("coroutine") > 1
        assert component(http, "thread")["error"] == "timeout"


def test_checks_that_block_leave_the_default_executor_alone():
    """The few threads in which a loop looks names up are the application's."""
    release = threading.Event()

    async def work(request):
        return PlainTextResponse(await asyncio.to_thread(lambda: "done"))

    application = Application(routes=[Route("/work", work)])
    for number in range(40):  # the default has fewer threads than that
        application.health.check(f"check{number}")(lambda: release.wait(60) and None)
    with application.served() as http, released(release):
        wait_for_status(http, "check39", "unhealthy")
        assert http.get("/work").text == "done"
        assert application.obs.health.checker.running


def test_an_application_ends_although_a_check_hangs():
    """Neither the shutdown nor the end of Python waits for it."""
    code = """
import time
from prometheus_client import CollectorRegistry
from exporter import instrument
obs = instrument(registry=CollectorRegistry())
import threading
begun = threading.Event()
obs.health.check("x")(lambda: begun.set() or time.sleep(60))
obs.health.start()
begun.wait()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == 0


class Told:
    """A check that says what it is told to, asked by hand."""

    def __init__(self, **settings):
        self.outcome = Finding()
        self.check = Check("x", lambda: self.outcome, Settings(**settings))

    def ask(self, outcome):
        self.outcome = outcome
        self.check.due = 0.0
        self.check.begin(time.monotonic(), None)
        wait_for(lambda: self.check.run is None)
        return self.check.now(time.monotonic()).status


def test_two_bad_ones_are_needed_and_one_good_one_is_enough():
    """A hiccup is no outage; and who is back is back."""
    told = Told()
    good, weak, bad = Finding(), degraded(), unhealthy()
    assert [told.ask(each) for each in (good, bad, good, bad, bad, good)] == [
        "healthy",
        "healthy",
        "healthy",
        "healthy",
        "unhealthy",
        "healthy",
    ]
    assert [told.ask(each) for each in (weak, weak, bad, bad, weak)] == [
        "healthy",
        "degraded",
        "degraded",
        "unhealthy",
        "degraded",
    ]


def test_the_first_verdict_needs_no_second():
    """There is no good past that would speak for it."""
    assert Told().ask(unhealthy()) == "unhealthy"


def test_what_was_not_looked_at_for_three_periods_is_not_known():
    """Stale is as bad as away for a critical component; not looked at yet is neither."""
    told = Told(period=10, critical=True)
    now = time.monotonic()
    assert told.check.now(now).reason == "pending"
    assert overall([(told.check, told.check.now(now))]) == "unknown"
    told.ask(Finding())
    now = time.monotonic()
    assert told.check.now(now + 29).status == "healthy"
    assert (told.check.now(now + 31).status, told.check.now(now + 31).reason) == ("unknown", "stale")
    assert overall([(told.check, told.check.now(now + 31))]) == "unhealthy"


def test_a_check_that_asks_for_time_gets_it():
    """After a Retry-After nobody knocks earlier, and what is known stays known."""
    told = Told(period=1)
    told.ask(degraded("rate_limited")._replace(wait=100))
    now = time.monotonic()
    assert told.check.due > now + 90
    assert told.check.now(now + 250).status == "degraded"


class RateLimitError(Exception):
    """As the SDKs have it."""

    status_code = 429


def chained():
    try:
        try:
            raise ConnectionRefusedError("10.0.0.7:5432")
        except OSError as error:
            raise RuntimeError("postgresql://user:hunter2@10.0.0.7") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (httpx.ReadTimeout(""), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (chained(), "refused"),
        (socket.gaierror(), "dns"),
        (ssl.SSLError(), "tls"),
        (PermissionError(), "auth"),
        (RateLimitError(), "rate_limited"),
        (ConnectionResetError(), "unavailable"),
        (EOFError(), "unavailable"),
        (ValueError("secret"), "error"),
        (SystemExit(1), "error"),
    ],
)
def test_an_exception_becomes_a_word_of_the_list(error, reason):
    """Its text may hold addresses and passwords, so it is never part of an answer."""
    assert reason_of(error) == reason
    assert reason in REASONS


def test_a_word_that_is_not_on_the_list_is_error():
    """Whoever writes a check cannot put a text on the page by mistake."""
    assert degraded("postgresql://user:hunter2@db").reason == "error"
    assert unhealthy("timeout").reason == "timeout"


def test_who_limits_our_rate_works():
    """An SDK's exception for 429 is degraded, not down."""
    application = Application()

    @application.health.check("openai", dependency=True)
    def limited():
        raise RateLimitError

    with application.served() as http:
        wait_for_status(http, "openai", "degraded", error="rate_limited")
        assert application.value("dependency_up", dependency="openai") == 1


def test_every_verdict_is_a_number():
    """Up, degraded, latency and time of each component; dependency_up of those that are outside."""
    application = Application()
    outcome = [None]
    application.health.check("gateway", dependency="payment")(lambda: outcome[0])
    application.health.check("inside")(lambda: degraded())

    def told(component):
        names = ("health_component_up", "health_component_degraded")
        return tuple(application.value(name, component=component) for name in names)

    with application.served() as http:
        wait_for(lambda: (told("gateway"), told("inside")) == ((1, 0), (1, 1)))
        assert application.value("dependency_up", dependency="payment") == 1
        assert application.value("dependency_up", dependency="inside") is None
        assert 0 <= application.value("health_component_latency_seconds", component="gateway") < 5
        assert abs(application.value(LAST, component="gateway") - time.time()) < 5
        outcome[0] = False
        wait_for(lambda: told("gateway") == (0, 1))
        wait_for(lambda: application.value("dependency_up", dependency="payment") == 0)
        assert http.get("/health").status_code == 200


def test_a_dependency_of_two_components_is_up_when_both_are():
    """Two pools on one database: one that gets no connection is a failure."""
    application = Application()
    application.health.check("reader", dependency="database")(lambda: False)
    application.health.check("writer", dependency="database")(lambda: None)
    with application.served():
        wait_for(lambda: application.value("health_component_up", component="writer") == 1)
        assert application.value("dependency_up", dependency="database") == 0


def test_a_loop_that_is_held_up_is_seen():
    """While it is, from the thread beside it; afterwards in the liveness page, above the limit."""

    async def block(request):
        time.sleep(0.5)
        return PlainTextResponse("")

    application = Application(routes=[Route("/block", block)], health={**QUICK, "lag_limit": 0.2})
    asked = []

    @application.health.check("coroutine")
    async def coroutine():
        asked.append(time.monotonic())

    with application.served() as http:
        wait_for_status(http, "coroutine", "healthy")
        assert http.get("/health").status_code == 200
        verdicts = set()
        for _ in range(20):
            http.get("/block")
            verdicts.add(http.get("/health").status_code)
            if 503 in verdicts:
                break
        assert 503 in verdicts
        wait_for(lambda: application.value("health_event_loop_lag_seconds") > 0.2)
        wait_for(lambda: http.get("/health").status_code == 200)
        # The component was not to blame.
        assert component(http, "coroutine")["status"] == "healthy"


def test_checks_begin_when_the_start_up_is_over_and_end_before_the_shutdown():
    """A pool is asked neither before it is open nor after it was closed."""
    events = []

    @asynccontextmanager
    async def prepare(obs):
        @obs.health.check("pool")
        async def pool():
            events.append("asked")

        await asyncio.sleep(0.3)
        events.append("open")
        yield
        events.append("closing")
        await asyncio.sleep(0.3)

    application = Application(prepare)
    with serving(application.app) as url, client(url) as http:
        wait_for_status(http, "pool", "healthy")
    assert events[0] == "open"
    assert events[-1] == "closing"
    assert "asked" in events
    assert not application.health.checker.running


def test_one_application_in_a_second_loop():
    """A reload in the same process: checks run again, in the new loop."""
    loops = []

    @asynccontextmanager
    async def prepare(obs):
        @obs.health.check("x")
        async def x():
            loops.append(asyncio.get_running_loop())

        yield

    application = Application(prepare)
    for _ in range(2):
        with serving(application.app) as url, client(url) as http:
            before = len(loops)
            wait_for(lambda before=before: len(loops) > before)
            wait_for_status(http, "x", "healthy")
            assert http.get("/health/ready").status_code == 200
    assert len(set(loops)) == 2
    for _ in range(2):  # and where the server does not tell of start and stop
        application.health.check("y")(lambda: None)
        with serving(application.app, lifespan="off") as url, client(url) as http:
            wait_for_status(http, "y", "healthy")
        wait_for(lambda: not application.health.checker.running)
    application.obs.uninstrument()


def test_a_check_of_the_same_name_replaces_the_first():
    """A start-up that runs twice leaves one check, and asks the closed pool no more."""
    application = Application()
    application.health.check("x")(lambda: False)
    application.health.check("x")(lambda: None)
    with application.served() as http:
        wait_for_status(http, "x", "healthy")
        assert len(list(application.health.checker)) == 1


@pytest.mark.parametrize("options", [{"period": 0}, {"timeout": -1}])
def test_times_must_be_above_zero(options):
    """Said where the check is written, with its name."""
    with pytest.raises(ValueError, match="'x'"):
        Application().health.check("x", **options)(lambda: None)


def test_the_name_of_a_group_is_taken():
    """Two things under one key of the page would hide each other."""
    with pytest.raises(ValueError, match="integrations"):
        Application().health.check("integrations")(lambda: None)


def test_a_decorated_function_stays_what_it_is():
    """The application may call it as well."""

    @Application().health.check("x")
    def answer():
        return 42

    assert answer() == 42


def test_a_store_that_goes_takes_its_thread_along():
    """Nothing of ours keeps a forgotten application alive."""
    application = Application()
    application.health.start()
    thread = application.health.checker._thread
    assert thread.is_alive()
    del application
    wait_for(lambda: gc.collect() is not None and not thread.is_alive())

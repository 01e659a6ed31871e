"""The load generator: what it does, that it ends, and that it never leaves this machine."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from examples.load import Plan, busyness, duration, local_url, run
from examples.visitors import MIX, Visitors
from tests.waiting import wait_for

CHECKOUT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.load", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://127.example.com",
        "http://localhost.example.com:8000",
        "http://127.0.0.1@example.com",
        "http://localhost:1@example.com",
        "http://10.0.0.1:8000",
        "http://0.0.0.0:8000",
        "http://[2001:db8::1]:8000",
        "https://localhost",
        "http://127.0.0.1:99999",
        "http://a:b",
        "localhost:8000",
        "",
    ],
)
def test_another_machine_is_refused(url):
    """Load goes to this machine only; names that merely look like it are refused as well."""
    with pytest.raises(ValueError, match=r"machine|URL"):
        local_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://localhost:8000", "http://[::1]:8000"])
def test_this_machine_is_accepted(url):
    """Each way to name this machine works."""
    assert local_url(url) == url.rstrip("/")


def test_the_command_refuses_before_it_sends():
    """On the command line too: exit code 2, the bad address, no traceback."""
    process = start("--url", "http://127.example.com:8000")
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert "'http://127.example.com:8000' is not on this machine" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_lengths_of_time(text, seconds):
    """Seconds, minutes and hours as people write them."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "5x", "inf", "nan", "m"])
def test_nonsense_is_no_length_of_time(text):
    """A message that shows what would be right."""
    with pytest.raises(ValueError, match="write 90, 90s, 10m or 1h"):
        duration(text)


def test_a_day_has_a_quiet_night_and_two_peaks():
    """Traffic falls at night and peaks before noon and in the evening, and never stops."""
    assert busyness(11) == pytest.approx(1.0)
    assert busyness(4) < 0.3
    assert busyness(15.5) < busyness(19.5) < busyness(11)
    assert busyness(0) == pytest.approx(busyness(24))
    assert min(busyness(hour / 4) for hour in range(96)) >= 0.15


def test_the_mix_says_what_it_is():
    """The mix is of 1000 visits, and each kind of visit exists."""
    assert sum(MIX.values()) == 1000
    assert all(hasattr(Visitors, f"_{kind}") for kind in MIX)


def test_every_kind_of_visit_ends_as_meant(demo):
    """Visits read, write, sign up, pay, watch and go wrong, each with the answer that it is for."""

    async def visit(kind: str) -> Counter[str]:
        ended: Counter[str] = Counter()
        async with httpx.AsyncClient(base_url=demo.app.url, timeout=10, trust_env=False) as client:
            await Visitors(client, random.Random(1), ended).visit(kind)
        return ended

    async def visits() -> dict[str, Counter[str]]:
        return dict(zip(MIX, await asyncio.gather(*map(visit, MIX)), strict=True))

    ended = asyncio.run(visits())
    assert ended.pop("updates") == {"WebSocket": 1}
    assert ended.pop("damaged") == {"5xx": 1}
    assert ended.pop("declined") == {"2xx": 1, "4xx": 1}  # signs up first
    assert ended.pop("batch") == {"2xx": 12}
    for kind in ("lost", "gone", "mistyped", "stranger", "forgotten"):
        assert ended.pop(kind) == {"4xx": 1}
    assert all(set(counts) == {"2xx"} for counts in ended.values())


def test_it_makes_every_kind_of_series_within_seconds(demo):
    """A demo that has just started shows all its routes at once."""
    plan = Plan(demo.app.url, seconds=3, peak=40)
    ended = asyncio.run(run(plan, asyncio.Event(), seed=1))
    assert ended["2xx"] > 30
    assert "turned away" not in ended
    for route in ("/", "/products", "/products/{product_id}", "/signup", "/login", "/checkout", "/summaries"):
        assert demo.metric("http_requests_total", route=route) > 0, route


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(demo, number):
    """Stopped by a signal it says what it did, with exit code 0."""
    home = demo.metric("http_requests_total", route="/")
    process = start("--url", demo.app.url, "--peak", "30")
    try:
        wait_for(lambda: demo.metric("http_requests_total", route="/") > home)
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("load: ")


def test_an_application_that_is_away_is_counted_not_raised(demo):
    """While nobody answers the load goes on, and says so in its summary."""
    plan = Plan("http://127.0.0.1:9", seconds=1, peak=40)
    ended = asyncio.run(run(plan, asyncio.Event()))
    assert ended["ConnectError"] > 5

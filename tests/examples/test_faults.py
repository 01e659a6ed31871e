"""The demo's fault switches: each does what it says, goes off by itself, and is not for everybody."""

import asyncio
import subprocess
import sys
import time
from types import SimpleNamespace

import httpx
import psutil
import pytest
from fastapi import FastAPI

from examples import faults
from tests.waiting import wait_for, wait_for_async


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def failures(switches: faults.Faults, calls: int) -> int:
    count = 0
    for _ in range(calls):
        try:
            switches.strike()
        except faults.SwitchedOnError:
            count += 1
    return count


def test_nothing_is_on_at_first(tmp_path):
    """A fresh demo behaves."""
    switches = faults.Faults(tmp_path, Clock())
    assert switches.state() == {}
    assert failures(switches, 100) == 0


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.3, 1.0])
def test_errors_hit_exactly_the_chosen_share(tmp_path, ratio):
    """Of a hundred requests, as many fail as asked for: alerts can be proved with few requests."""
    switches = faults.Faults(tmp_path, Clock())
    switches.fail(ratio, lasting=60)
    assert failures(switches, 100) == round(100 * ratio)


def test_errors_and_slowness_go_off_by_themselves(tmp_path):
    """When the time is over the demo behaves again, without anybody doing anything."""
    clock = Clock()
    switches = faults.Faults(tmp_path, clock)
    switches.fail(1.0, lasting=60)
    switches.slow_down(30, lasting=90)
    clock.now += 59.9
    assert set(switches.state()) == {"errors", "slow"}
    clock.now += 0.2
    assert failures(switches, 10) == 0
    assert switches.state() == {"slow": {"seconds": 30, "seconds_left": 29.9}}
    clock.now += 30
    assert switches.state() == {}
    asyncio.run(asyncio.wait_for(switches.delay(), 1))


def test_switches_are_one_set_in_all_workers(tmp_path):
    """What one worker was asked for holds in another at once, and either can end it."""
    clock = Clock()
    first, second = faults.Faults(tmp_path, clock), faults.Faults(tmp_path, clock)
    first.fail(0.5, lasting=60)
    second.slow_down(3, lasting=60)
    assert first.state() == second.state()
    assert set(first.state()) == {"errors", "slow"}
    assert (failures(first, 10), failures(second, 10)) == (5, 5)
    second.off()
    assert (failures(first, 10), failures(second, 10)) == (0, 0)


def test_without_a_folder_nothing_is_ever_on():
    """A demo that was started without fault switches asks no file."""
    switches = faults.Faults(None)
    assert switches.state() == {}
    assert failures(switches, 10) == 0


def test_memory_is_really_used_and_given_back(tmp_path):
    """The pages are resident, so that the machine's memory falls; they are free when the time is over."""

    async def run() -> None:
        clock = Clock()
        process, switches = psutil.Process(), faults.Faults(tmp_path, clock)
        before = process.memory_info().rss
        await switches.take_memory(200, lasting=60)
        held = process.memory_info().rss
        assert held - before > 190_000_000
        assert switches.state()["memory"]["megabytes"] == 200
        clock.now += 61

        async def released() -> bool:
            return held - process.memory_info().rss > 190_000_000

        await wait_for_async(released)
        assert switches.state() == {}

    asyncio.run(run())


def test_memory_that_one_worker_holds_another_can_give_back(tmp_path):
    """Whichever worker is asked to end it, the one that holds it does."""

    async def run() -> None:
        process, switches = psutil.Process(), faults.Faults(tmp_path)
        await switches.take_memory(200, lasting=60)
        held = process.memory_info().rss
        faults.Faults(tmp_path).off()

        async def released() -> bool:
            return held - process.memory_info().rss > 190_000_000

        await wait_for_async(released)

    asyncio.run(run())


def test_memory_goes_with_its_worker(tmp_path):
    """A worker that was killed holds nothing, and nobody says that it does."""
    take = (
        "import asyncio, pathlib, sys\n"
        "from examples.faults import Faults\n"
        "asyncio.run(Faults(pathlib.Path(sys.argv[1])).take_memory(10, 60))\n"
    )
    subprocess.run([sys.executable, "-c", take, str(tmp_path)], check=True)
    assert faults.Faults(tmp_path).state() == {}


def test_memory_leaves_the_machine_usable(tmp_path):
    """More than the machine has to spare is refused before anything is taken."""

    async def run() -> None:
        switches = faults.Faults(tmp_path)
        with pytest.raises(ValueError, match="to spare"):
            await switches.take_memory(1_000_000, lasting=60)
        assert switches.state() == {}

    asyncio.run(run())


def test_off_switches_everything_off(tmp_path):
    """One call ends all faults at once."""

    async def run() -> None:
        switches = faults.Faults(tmp_path)
        await switches.take_memory(10, lasting=60)
        switches.fail(1.0, lasting=60)
        switches.slow_down(1, lasting=60)
        assert set(switches.state()) == {"slow", "errors", "memory"}
        switches.off()
        assert switches.state() == {}
        assert failures(switches, 5) == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("enabled", "address", "status"),
    [
        (True, "127.0.0.1", 200),
        (True, "::1", 200),
        (True, "10.0.0.8", 403),
        (False, "127.0.0.1", 403),
    ],
)
def test_switches_are_for_this_machine_and_only_when_enabled(tmp_path, enabled, address, status):
    """A stranger cannot break the demo, nor can anybody where it was not started for that."""
    app = FastAPI()
    app.state.settings = SimpleNamespace(faults=enabled)
    app.state.faults = faults.Faults(tmp_path)
    app.include_router(faults.router)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://demo") as client:
            calls = (("GET", ""), ("POST", "/slow"), ("POST", "/errors?ratio=0.1&for=1"), ("DELETE", ""))
            return [(await client.request(method, f"/faults{path}")).status_code for method, path in calls]

    assert asyncio.run(ask()) == [status] * 4


@pytest.mark.parametrize(
    "query",
    [
        "slow?seconds=31",
        "slow?for=0",
        "slow?for=1e9",
        "errors?ratio=1.1",
        "errors?ratio=nan",
        "memory?megabytes=0",
    ],
)
def test_absurd_amounts_are_refused(demo, query):
    """A switch takes only amounts that end."""
    assert demo.http.post(f"/faults/{query}").status_code == 422
    assert demo.http.get("/faults").json() == {}


def test_slow_hits_the_product_page_alone(demo):
    """The product page waits as long as asked; the list does not."""
    demo.http.post("/faults/slow?seconds=1&for=30")
    try:
        started = time.monotonic()
        demo.http.get("/products/2")
        assert time.monotonic() - started >= 1
        started = time.monotonic()
        demo.http.get("/products")
        assert time.monotonic() - started < 1
    finally:
        demo.http.delete("/faults")


def test_errors_are_500s_of_the_shop_and_end(demo):
    """Visitors get 500s, the health page does not, and after its time nothing fails."""
    demo.http.post("/faults/errors?ratio=1&for=1")
    try:
        assert demo.http.get("/").status_code == 500
        assert demo.http.get("/health").status_code == 200
        wait_for(lambda: demo.http.get("/").status_code == 200)
    finally:
        demo.http.delete("/faults")
    assert demo.metric("http_exceptions_total", exception="SwitchedOnError") >= 1

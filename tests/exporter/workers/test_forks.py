"""Threads and forks inside one program: nothing is lost, nothing is counted twice."""

import os
import subprocess
import sys
import threading

import pytest
from prometheus_client import CollectorRegistry

from exporter.catalog import Metric
from exporter.store import Store
from tests.exporter.workers.servers import ROOT, parsed

DONE = Metric("done_total", "counter", "Done.", ("by",))
OPEN = Metric("open", "gauge", "Open.")
TOOK = Metric("took_seconds", "histogram", "Took.", buckets=(1, 2))


@pytest.fixture
def often():
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(number, action):
    threads = [threading.Thread(target=action, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_lose_nothing(often):
    """Four threads, one counter, one gauge and one histogram, 200,000 rounds each."""
    store = Store.of(CollectorRegistry())
    counter, gauge, histogram = DONE.on(store).labels("all"), OPEN.on(store), TOOK.on(store)

    def work(_):
        inc, up, down = counter.inc, gauge.inc, gauge.dec
        for _ in range(200_000):
            inc()
        for _ in range(20_000):
            up()
            histogram.observe(1)
            down()

    together(4, work)
    page = parsed(store.page().decode())
    assert page["done_total"] == {("all",): 800_000}
    assert page["open"] == {(): 0}
    assert page["took_seconds_count"] == {(): 80_000}
    assert page["took_seconds_sum"] == {(): 80_000}


def test_threads_make_one_series_once(often):
    """Eight threads ask for the same new series at the same time."""
    store = Store.of(CollectorRegistry())

    def work(_):
        for number in range(300):
            DONE.on(store).labels(f"task{number}").inc()

    together(8, work)
    assert parsed(store.page().decode())["done_total"] == {(f"task{number}",): 8 for number in range(300)}


# In a program of its own: a fork beside threads is not for the test runner.
FORKS = """
import os, sys, threading
from exporter.catalog import Metric
from exporter.store import Store
from tests.exporter.workers.servers import parsed

DONE = Metric("done_total", "counter", "Done.", ("by",))
store = Store.of()
sys.setswitchinterval(1e-6)
stop = threading.Event()
counted = [0] * 4

def work(number):
    mine = DONE.on(store).labels(f"thread{number}")
    while not stop.is_set():
        mine.inc()
        counted[number] += 1
        DONE.on(store).labels(f"series{counted[number] % 1000}").inc()
        store.page() if counted[number] % 500 == 0 else None

threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
for thread in threads:
    thread.start()
children = []
for _ in range(15):
    pid = os.fork()
    if pid == 0:
        DONE.on(store).labels("child").inc()
        DONE.on(store).labels("own of child").inc(2)
        assert b"done_total" in store.page()
        os._exit(0)
    children.append(pid)
failed = [pid for pid in children if os.waitpid(pid, 0)[1]]
stop.set()
for thread in threads:
    thread.join()
for _ in range(2):
    done = {labels[0]: value for labels, value in parsed(store.page().decode())["done_total"].items()}
    assert not failed, failed
    assert done["child"] == 15, done["child"]
    assert done["own of child"] == 30, done["own of child"]
    assert [done[f"thread{n}"] for n in range(4)] == counted
    assert sum(v for k, v in done.items() if k.startswith("series")) == sum(counted)
print("right")
"""


def run(code, *words):
    program = subprocess.run(
        [*words, sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT,
        timeout=60, env=os.environ | {"PYTHONPATH": "."}, check=False,
    )  # fmt: skip
    assert program.stdout.strip() == "right", program.stdout + program.stderr


def test_forks_beside_busy_threads_are_right():
    """A fork catches threads at any point; the child counts, says its page and ends, and nothing is lost."""
    run(FORKS)


LIVES = """
import os, signal
from exporter.catalog import Metric
from exporter.store import Store
from tests.exporter.workers.servers import parsed

DONE = Metric("done_total", "counter", "Done.")
OPEN = Metric("open", "gauge", "Open.")
store = Store.of()
DONE.on(store).inc(5)
OPEN.on(store).inc(5)
told, end = os.pipe(), os.pipe()

def page():
    return [sum(parsed(store.page().decode())[name].values()) for name in ("done_total", "open")]

worker = os.fork()
if worker == 0:
    DONE.on(store).inc()
    OPEN.on(store).inc()
    if os.fork() == 0:  # its child outlives it
        DONE.on(store).inc()
        OPEN.on(store).inc(10)
        os.write(told[1], b"x")
        os.read(end[0], 1)
        os._exit(0)
    os.read(end[0], 1)
os.read(told[0], 1)
assert page() == [7, 16], page()
os.kill(worker, signal.SIGKILL)
os.waitpid(worker, 0)
assert page() == [7, 15], page()  # the child has not kept its parent's file alive
os.write(end[1], b"x")
while page() != [7, 5]:
    pass
DONE.on(store).inc()
assert page() == [8, 5], page()
print("right")
"""


def test_a_forked_child_counts_for_itself_and_lives_for_itself():
    """It takes over nothing of its parent's numbers, and neither keeps the other's gauges alive."""
    run(LIVES)


def test_a_program_started_from_a_fork_leaves_no_trace():
    """`subprocess` with a preexec_fn forks like a worker does, and is another program a moment later."""
    run("""
import subprocess
from exporter.catalog import Metric
from exporter.store import Store, family
from tests.exporter.workers.servers import parsed

DONE = Metric("done_total", "counter", "Done.")
store = Store.of()
DONE.on(store).inc()
for _ in range(20):
    subprocess.run(["true"], preexec_fn=lambda: None)
assert len(list(family.folder().glob("*.cells"))) <= 4
assert parsed(store.page().decode())["done_total"] == {(): 1}
print("right")
""")


def test_a_forked_child_leaves_what_is_under_way_to_its_parent():
    """A request and a run in progress are counted once, and finished by one of the two."""
    run("""
import asyncio, os
from exporter import instrument
from exporter.instrument.asgi import HTTPMetrics
from tests.exporter.workers.servers import parsed

obs = instrument()
go, told = asyncio.Event(), os.pipe()

async def app(scope, receive, send):
    await go.wait()

def now(name):
    return sum(parsed(obs.store.page().decode()).get(name, {}).values())

def in_progress():
    return now("http_requests_in_progress"), now("workflow_executions_in_progress")

async def main():
    layer = HTTPMetrics(app, obs.store)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    request = asyncio.ensure_future(layer(scope, None, None))
    await asyncio.sleep(0)
    with obs.workflow("nightly"):
        assert in_progress() == (1, 1)
        if os.fork() == 0:
            assert in_progress() == (1, 1), in_progress()
            os.write(told[1], b"x")
            os._exit(0)
        assert os.read(told[0], 1) == b"x"
        os.wait()
    go.set()
    await request
    assert in_progress() == (0, 0)
    assert now("http_requests_total") == 1 == now("workflow_executions_total")

asyncio.run(main())
print("right")
""")


def test_workers_that_give_up_their_rights_go_on_together():
    """As under gunicorn with --user and --preload: opened as root, used by nobody, nothing lost."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    run("""
import os
from exporter.catalog import Metric
from exporter.store import Store, family
from tests.exporter.workers.servers import parsed

DONE = Metric("done_total", "counter", "Done.")
WAIT = Metric("wait_seconds", "histogram", "Waited.", buckets=(1,))
store = Store.of()
DONE.on(store)
told, end = os.pipe(), os.pipe()

def page():
    return {name: sum(found.values()) for name, found in parsed(store.page().decode()).items()}

for _ in range(2):
    if os.fork() == 0:
        DONE.on(store).inc(2)
        WAIT.on(store).observe(0.5)
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        DONE.on(store).inc()
        store.tick()
        os.write(told[1], b"x")
        os.read(end[0], 1)
        found = page()
        right = [found[name] for name in ("done_total", "wait_seconds_count", "watchkeeper_store_degraded",
                                          "watchkeeper_workers")] == [6, 2, 0, 2]
        os.write(told[1], b"y" if right else repr(found).encode())
        os.read(end[0], 1)
        os._exit(0)
for _ in range(2):
    os.read(told[0], 1)
os.write(end[1], b"x")
assert (said := os.read(told[0], 4096)) == b"y", said
os.write(end[1], b"xxx")
for _ in range(2):
    os.wait()
print("right")
""")

"""Real servers with several workers: whichever is scraped, the page is the whole application's."""

import contextlib
import itertools
import os
import signal
import threading
from functools import partial

import httpx
import pytest

from tests.exporter.workers.servers import COMMANDS, serving


@pytest.fixture(scope="module", params=COMMANDS)
def workers(request):
    with serving(request.param) as workers:
        yield workers


def test_a_worker_that_nobody_has_asked_counts_too(workers):
    """One connection stays with one worker, and its page knows of both."""
    with httpx.Client(base_url=workers.url, timeout=20, verify=False) as client:
        workers.wait_for(lambda: workers.now("watchkeeper_workers", client) == 2, "both are known")


def test_every_worker_says_what_all_have_counted(workers):
    """The sum is the number of answers, on each worker's page alike."""
    before = workers.count("/")
    answered = workers.load(80)
    for client in workers.clients().values():
        workers.wait_for(
            lambda client=client: workers.count("/", client) == before + answered, "all is counted"
        )
        known = partial(workers.now, "watchkeeper_workers", client)
        workers.wait_for(lambda known=known: known() == 2, "both are known")
        assert workers.now("watchkeeper_store_degraded", client) == 0


def test_killed_workers_leave_their_counts_and_nothing_else(workers):
    """SIGKILL to all workers with requests and WebSockets open: counts stay, gauges fall to 0."""
    if workers.process.args[2] == "hypercorn":
        pytest.skip("hypercorn ends when a worker is killed, and with it the application")
    before = workers.count("/") + workers.load(20)
    # granian takes a second kill within seconds for a crash loop and ends.
    for round_ in (1,) if workers.process.args[2] == "granian" else (1, 2):
        clients = workers.clients()
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                workers.hold()
                stack.enter_context(workers.chat())
            workers.wait_for(lambda: workers.now("http_requests_in_progress") == 3, "three requests are held")
            workers.wait_for(lambda: workers.now("active_connections") == 3, "three WebSockets are open")
            for pid in clients:
                os.kill(pid, signal.SIGKILL)
        killed = set(clients)
        workers.wait_for(lambda killed=killed: not set(workers.clients()) & killed, "workers are new")
        for client in workers.clients().values():
            idle = partial(workers.now, "http_requests_in_progress", client)
            workers.wait_for(lambda idle=idle: idle() == 0, "nothing is held")
            assert workers.now("active_connections", client) == 0
            assert workers.now("websocket_connections_total", client) == 3 * round_
            assert workers.count("/", client) >= before
        assert len(workers.files()) <= 2 * 2


@pytest.mark.parametrize("way", ["os", "fork", "spawn", "forkserver"])
def test_children_of_workers_count_with_them(workers, way):
    """What a child has counted stands on every page, and stays when it is gone."""
    if way != "os" and workers.process.args[2] in ("hypercorn", "granian"):
        pytest.skip("these workers are daemons of multiprocessing, which may have no such children")
    before = workers.now("workflow_executions_total")
    workers.get(f"/child/{way}")
    workers.wait_for(
        lambda: workers.now("workflow_executions_total") == before + 1, "the child's run is there"
    )


def test_kills_under_load_lose_what_was_in_flight_at_most():
    """A worker is killed at any instant, again and again; answers are counted once."""
    with serving("gunicorn") as workers:
        answered, failed, end = [], [], threading.Event()

        def ask():
            while not end.is_set():
                try:
                    workers.get()
                    answered.append(1)
                except httpx.HTTPError:
                    failed.append(1)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        first = workers.count()  # the ones that found out that it is up
        for thread in threads:
            thread.start()
        kills = 4
        for number in range(kills):
            enough = 40 * (number + 1)
            workers.wait_for(lambda enough=enough: len(answered) > enough, "requests are answered")
            os.kill(int(workers.wait_for(workers.get, "a pid")), signal.SIGKILL)
            answered.append(1)
            assert len(workers.files()) <= 2 * 2 + 1
        end.set()
        for thread in threads:
            thread.join()
        total = workers.count() - first
        # Counted right after the last byte has left: at a kill, each client may have one uncounted answer.
        assert len(answered) - kills * (len(threads) + 1) <= total <= len(answered) + len(failed)


def test_recycled_workers_count_on():
    """gunicorn replaces a worker after some requests: every answer is counted, files stay few."""
    with serving("gunicorn", "--max-requests", "15") as workers:
        first, answered = workers.count(), 0
        pids = set()

        def ask():
            pids.add(workers.get())
            return True

        while len(pids) < 6:
            workers.wait_for(ask, "an answer")
            answered += 1
            assert len(workers.files()) <= 2 * 2 + 1
        workers.wait_for(lambda: workers.count() - first == answered, "all is counted")


def test_a_reload_counts_on(tmp_path):
    """uvicorn --reload starts a new worker when a file changes; counters do not begin anew."""
    source = tmp_path / "served.py"
    source.write_text("from tests.exporter.workers.app import app\n")
    command = ("uvicorn", "served:app", "--reload", "--log-level", "error", "--port", "{port}")
    with serving("uvicorn", command=command, app_dir=tmp_path) as workers:
        old = workers.get()
        before = workers.count()
        changes = itertools.count(1)

        def changed():
            source.write_text(f"from tests.exporter.workers.app import app  # {next(changes)}\n")
            return workers.get() != old

        workers.wait_for(changed, "a new worker answers")
        assert workers.count() > before


def test_an_application_twice_is_two_applications():
    """Started by the same process, side by side: neither counts the other's."""
    with serving("uvicorn") as one, serving("uvicorn") as other:
        before = one.count(), other.count()
        one.load(5)
        one.wait_for(lambda: one.count() == before[0] + 5, "five are counted")
        assert other.count() == before[1]
        assert one.folder() != other.folder()

"""Several workers, forks: each checks for itself, and every page tells of all."""

import contextlib
import subprocess
import sys

import httpx
import pytest

from tests.exporter.workers.servers import ROOT, parsed, serving
from tests.waiting import wait_for

APP = """
import os
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from exporter import instrument

async def who(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/", who), Route("/block", who)])
obs = instrument(app, health={"period": 0.1, "timeout": 1})
here = Path(__file__).parent

@obs.health.check("all", dependency=True)
def all_():
    (here / f"asked-{os.getpid()}").touch()
    return not (here / "all-down").exists()

@obs.health.check("one", dependency=True)
def one():
    return not (here / f"down-{os.getpid()}").exists()
"""
COMMANDS = {
    "uvicorn": ("uvicorn", "served:app", "--workers", "2", "--log-level", "error", "--port", "{port}"),
    "preload": (
        *("gunicorn", "served:app", "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "--preload"),
        *("--log-level", "critical", "-b", "127.0.0.1:{port}"),
    ),
    "granian": ("granian", "served:app", "--interface", "asgi", "--workers", "2", "--port", "{port}"),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_component_is_up_while_one_worker_can_use_it(kind, tmp_path):
    """Away for one worker: degraded. Away for all: down. On every page alike, and back when it is back."""
    (tmp_path / "served.py").write_text(APP)
    with serving(kind, app_dir=tmp_path, command=COMMANDS[kind]) as server:

        def pids():
            return {int(path.name.partition("-")[2]) for path in tmp_path.glob("asked-*")}

        wait_for(lambda: len(pids()) == 2, 20, "both workers check")

        def told(name, label):
            with contextlib.suppress(httpx.HTTPError):
                return parsed(server.get("/metrics")).get(name, {}).get((label,))

        def is_(**values):
            return all(told(f"health_component_{k}", label) == v for k, (label, v) in values.items())

        wait_for(lambda: is_(up=("one", 1), degraded=("one", 0)))
        (tmp_path / f"down-{min(pids())}").touch()
        wait_for(lambda: is_(up=("one", 1), degraded=("one", 1)))
        assert told("dependency_up", "one") == 1
        (tmp_path / f"down-{max(pids())}").touch()
        wait_for(lambda: is_(up=("one", 0), degraded=("one", 1)))
        assert told("dependency_up", "one") == 0
        assert told("dependency_up", "all") == 1
        for path in tmp_path.glob("down-*"):
            path.unlink()
        wait_for(lambda: is_(up=("one", 1), degraded=("one", 0)))
        assert 0 <= parsed(server.get("/metrics"))["health_event_loop_lag_seconds"][()] < 60


FORK = """
import os, sys, time
from prometheus_client import CollectorRegistry
from exporter import instrument

obs = instrument(registry=CollectorRegistry(), ai=False)
health = obs.health
health.period = 0.1
ran = set()
health.check("x")(lambda: ran.add(os.getpid()))

def runs():
    deadline = time.monotonic() + 10
    while os.getpid() not in ran and time.monotonic() < deadline:
        time.sleep(0.02)
    return os.getpid() in ran

health.start()
assert runs()
child = os.fork()
if child == 0:
    silent = not health.checker.running and next(iter(health.checker)).seen is None
    health.start()
    os._exit(0 if silent and runs() else 1)
_, status = os.waitpid(child, 0)
ran.clear()
sys.exit(status != 0 or not runs())
"""


def test_a_forked_child_begins_anew():
    """Its parent's thread is not there, nor are its parent's verdicts its own; both go on."""
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == 0

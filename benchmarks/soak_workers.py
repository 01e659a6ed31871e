"""A soak: minutes of load while workers are killed and recycled; at the end every answer is counted once.

    python -m benchmarks.soak_workers --minutes 20

Loopback only. A worker counts a request right after the last byte of its answer has left, so each kill may
leave one answer uncounted for each request that this worker had in flight; a request that got no answer
may have been counted or not. Anything beyond these two is a fault, and the exit status is 1.
"""

import argparse
import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter import instrument

ROOT = Path(__file__).parents[1]
APP = "benchmarks.soak_workers:app"
PATHS = ("/quick", "/things/7", "/slow")
COMMANDS = {
    "gunicorn": (
        "gunicorn", APP, "-k", "uvicorn_worker.UvicornWorker", "-w", "{workers}", "-b", "127.0.0.1:{port}",
        "--max-requests", "4000", "--max-requests-jitter", "2000", "--log-level", "critical",
    ),
    "uvicorn": ("uvicorn", APP, "--workers", "{workers}", "--port", "{port}", "--log-level", "critical"),
}  # fmt: skip


async def quick(request: Request) -> PlainTextResponse:
    return PlainTextResponse("quick")


async def slow(request: Request) -> PlainTextResponse:
    import asyncio

    await asyncio.sleep(0.02)
    return PlainTextResponse("slow")


app = Starlette(routes=[Route("/quick", quick), Route("/things/{thing}", quick), Route("/slow", slow)])
instrument(app)


class Load:
    """Clients that ask, and remember what was answered."""

    def __init__(self, port: int, clients: int) -> None:
        self.port = port
        self.end = threading.Event()
        self.tallies = [Counter[str]() for _ in range(clients)]
        self._threads = [threading.Thread(target=self._ask, args=(tally,)) for tally in self.tallies]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counter[str]:
        self.end.set()
        for thread in self._threads:
            thread.join()
        return sum(self.tallies, Counter())

    def _ask(self, tally: Counter[str]) -> None:
        dice = random.Random()  # noqa: S311 - dice, not cryptography
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.end.is_set():
            try:
                connection.request("GET", dice.choices(PATHS, (10, 10, 1))[0])
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                tally["unanswered"] += 1
                connection.close()
                self.end.wait(0.01)
                continue
            tally["answered" if answer.status == 200 else "refused"] += 1
            if dice.random() < 0.02:  # on to another worker
                connection.close()


class Page:
    """One worker's page in numbers; None while nobody answers."""

    def __init__(self, text: str) -> None:
        self.requests = self._sum(text, "http_requests_total", without='route="unmatched"')
        self.observed = self._sum(text, "http_request_duration_seconds_count", without='route="unmatched"')
        self.in_progress = self._sum(text, "http_requests_in_progress")
        self.degraded = self._sum(text, "watchkeeper_store_degraded")

    @classmethod
    def get(cls, port: int) -> "Page | None":
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/metrics")
            return cls(connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    @staticmethod
    def _sum(text: str, name: str, without: str = "\0") -> int:
        lines = re.findall(rf"^{name}(?:{{.*}})? .*$", text, re.MULTILINE)
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if without not in line))


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a server."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"resource_tracker" not in _command(child)]


def _command(pid: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def folder_of(pid: int) -> Path:
    """Return the folder of the family that began with this process."""
    bases = (Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108 - looked at, not written to
    return next(path for base in bases for path in base.glob(f"watchkeeper-*/*-{pid}-*"))


def soak(server: subprocess.Popen[bytes], port: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Load, kill, scrape; return what was found."""
    _until(lambda: Page.get(port), "the server answers")
    folder = folder_of(server.pid)
    load = Load(port, arguments.clients)
    found: Counter[str] = Counter()
    last, begun = 0, time.monotonic()
    next_kill = next_reload = begun
    while (now := time.monotonic()) < begun + 60 * arguments.minutes:
        if now > next_kill:
            next_kill = now + random.uniform(0.5, 4)  # noqa: S311
            victims = workers_of(server.pid)
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(victims), signal.SIGKILL)  # noqa: S311
                    found["kills"] += 1
        if arguments.server == "gunicorn" and now > next_reload + 45:
            next_reload = now
            server.send_signal(signal.SIGHUP)
            found["reloads"] += 1
        if page := Page.get(port):
            found["scrapes"] += 1
            found["steps back"] += page.requests < last
            found["degraded pages"] += page.degraded
            last = max(last, page.requests)
        found["most files"] = max(found["most files"], len(list(folder.glob("*.cells"))))
        time.sleep(0.25)
    found.update(load.stop())
    # Whatever is being replaced is there again, gauges are published twice a second.
    _until(lambda: len(workers_of(server.pid)) == arguments.workers, "all workers run")
    time.sleep(2)
    pages = [page for _ in range(5 * arguments.workers) if (page := Page.get(port))]
    found["counted"] = pages[0].requests
    found["observed"] = pages[0].observed
    found["pages that differ"] = sum(page.requests != pages[0].requests for page in pages)
    found["still in progress"] = max(page.in_progress for page in pages)
    found["files at the end"] = len(list(folder.glob("*.cells")))
    return dict(found)


def faults(found: dict[str, float], arguments: argparse.Namespace) -> list[str]:
    """Return what must not be."""
    answered, unanswered = found["answered"] + found.get("refused", 0), found.get("unanswered", 0)
    checks = {
        "answers are missing": found["counted"] >= answered - found["kills"] * arguments.clients,
        "more is counted than was asked": found["counted"] <= answered + unanswered,
        "a counter went back": not found["steps back"],
        "pages differ": not found["pages that differ"],
        "phantoms are in progress": not found["still in progress"],
        "requests and durations differ": abs(found["observed"] - found["counted"]) <= found["kills"],
        "too many files": found["most files"] <= 2 * arguments.workers,
    }
    return [fault for fault, right in checks.items() if not right]


def main() -> int:
    """Run a soak and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--server", choices=COMMANDS, default="gunicorn")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [word.format(port=port, workers=arguments.workers) for word in COMMANDS[arguments.server]]
    server = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, start_new_session=True)
    try:
        found = soak(server, port, arguments)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        with contextlib.suppress(StopIteration):
            shutil.rmtree(folder_of(server.pid))
    print(f"### {arguments.minutes:g} minutes, {arguments.server}, {arguments.workers} workers\n")
    print("| measure | value |\n|---|---|")
    for name, value in (found | {"counted - answered": found["counted"] - found["answered"]}).items():
        print(f"| {name} | {value:g} |" if value < 1e5 else f"| {name} | {value:,.0f} |")
    wrong = faults(found, arguments)
    print("\n" + (f"FAULTS: {', '.join(wrong)}" if wrong else "Every answer is counted once."))
    return 1 if wrong else 0


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())

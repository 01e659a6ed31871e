"""Time of an answer of the health pages, in process, while a component hangs; and what others pay."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client.registry import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks._measure import Quartiles, Ratio, Report, Table, added, in_a_process, in_turn
from benchmarks.http_overhead import _receive, _scope, _send
from exporter import instrument
from exporter.instrument.health._pages import PATHS

COMPONENTS = 8  # as many as the picture in docs/health.md has


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("a short answer")


def _application(health: Any) -> tuple[Starlette, Any]:
    app = Starlette(routes=[Route("/", _answer)])
    return app, instrument(app, registry=CollectorRegistry(), health=health, ai=False)


def run(rounds: int, requests: int) -> dict[str, list[float]]:
    """Return microseconds of an answer of each page, and of a request to the application with and without."""
    app, obs = _application({"period": 0.2, "timeout": 0.1})
    end = threading.Event()
    for number in range(COMPONENTS - 1):
        obs.health.check(f"component{number}")(lambda: None)
    obs.health.check("hangs")(lambda: end.wait(60))
    without, _ = _application(False)
    loop = asyncio.new_event_loop()

    def batch(app: Callable[..., Awaitable[None]], path: str) -> Callable[[], None]:
        async def answer_all() -> None:
            for _ in range(requests):
                await app(_scope(path), _receive, _send)

        return lambda: loop.run_until_complete(answer_all())

    batches = {path: batch(app, path) for path in PATHS}
    batches |= {"/": batch(app, "/"), "/ without": batch(without, "/")}
    loop.run_until_complete(app(_scope("/"), _receive, _send))
    deadline = time.monotonic() + 5
    while any(check.seen is None for check in obs.health.checker) and time.monotonic() < deadline:
        loop.run_until_complete(asyncio.sleep(0.05))
    taken = in_turn(batches, rounds)
    end.set()
    obs.uninstrument()
    loop.close()
    return {name: [ns / requests / 1000 for ns in all_] for name, all_ in taken.items()}


def measure(tiny: bool) -> Report:
    """All in one process, in turn."""
    taken = in_a_process("benchmarks.health:run", *((2, 5) if tiny else (100, 50)))
    found = {path: Quartiles.of(taken[path]) for path in PATHS}
    rows: list[tuple[Any, ...]] = [
        (path, it.median, f"{it.low:.2f} to {it.high:.2f}") for path, it in found.items()
    ]
    other = added(taken, "/ without", "/")
    rows.append(("any other request, added", other.median, f"{other.low:.2f} to {other.high:.2f}"))
    ratios = [Ratio(f"milliseconds for {path}", it.median / 1000, most=1) for path, it in found.items()]
    columns = ("page", "CPU µs", "quartiles")
    title = f"Answers from {COMPONENTS} components, one of which hangs"
    return Report([Table(title, columns, rows)], ratios, ("starlette",))


if __name__ == "__main__":
    from benchmarks._measure import main

    main("health", measure)

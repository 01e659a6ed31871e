"""CPU time that instrumentation adds to a request, in process, without a network."""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks import _apps
from benchmarks._measure import Ratio, Report, Table, added, in_a_process, in_turn, times

PARTS = {
    "Starlette, 50 routes": (_apps.starlette_app, _apps.STARLETTE),
    "FastAPI, 5 included routers of 10": (_apps.fastapi_app, _apps.FASTAPI),
    "Starlette, 50 routes, several workers on one page": (_apps.starlette_app, _apps.WORKERS),
}
# Their names of today; the old ones cost more and are not bounded.
ENVIRONMENT = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
NOTE = (
    "added: difference to bare of the same round, median and quartiles over the rounds. Records:\n"
    + "\n".join(f"- {name}: {what}" for name, what in _apps.RECORDS.items())
)


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def run(part: str, rounds: int, requests: int) -> dict[str, list[float]]:
    """Return microseconds a request of every candidate in every round."""
    make, ways = PARTS[part]
    apps = _apps.available(ways, make)
    wanted = _apps.paths(make)
    scopes: list[dict[str, Any]] = []
    loop = asyncio.new_event_loop()
    _check(loop, apps, wanted[0])

    def fresh() -> None:  # applications write into their scope
        scopes[:] = [_scope(wanted[n % len(wanted)]) for n in range(requests)]
        loop.run_until_complete(asyncio.sleep(0))  # what applications do between requests is not timed

    def batch(app: Callable[..., Awaitable[None]]) -> Callable[[], None]:
        async def answer_all() -> None:
            for scope in scopes:
                await app(scope, _receive, _send)

        return lambda: loop.run_until_complete(answer_all())

    fresh()
    gc.collect()
    gc.freeze()  # else a collection that walks ten applications falls into somebody's batch
    taken = in_turn({name: batch(app) for name, app in apps.items()}, rounds, fresh)
    loop.close()
    return {name: [ns / requests / 1000 for ns in all_] for name, all_ in taken.items()}


def _check(loop: asyncio.AbstractEventLoop, apps: dict[str, Any], path: str) -> None:
    """An application that answers with an error would be fast for the wrong reason."""
    for name, app in apps.items():
        statuses: list[int] = []

        async def send(message: Any, statuses: list[int] = statuses) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        loop.run_until_complete(app(_scope(path), _receive, send))
        if statuses != [200]:
            raise RuntimeError(f"{name} answers {statuses}")


def measure(tiny: bool) -> Report:
    """Each part in a process of its own; the third with prometheus_client's files for several workers."""
    rounds, requests = (2, 5) if tiny else (300, 50)
    tables, all_added = [], {}
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            several = {"PROMETHEUS_MULTIPROC_DIR": folder} if "workers" in part else {}
            taken = in_a_process(
                "benchmarks.http_overhead:run", part, rounds, requests, environment=ENVIRONMENT | several
            )
        more = all_added[part] = {name: added(taken, "bare", name) for name in taken}
        bare = sorted(taken["bare"])[len(taken["bare"]) // 2]
        rows: list[tuple[Any, ...]] = [
            (name, bare + it.median, it.median, f"{it.low:.2f} to {it.high:.2f}", (bare + it.median) / bare)
            for name, it in more.items()
        ]
        columns = ("candidate", "µs a request", "added µs", "quartiles", "times bare")
        tables.append(Table(part, columns, rows))
    tables[-1] = tables[-1]._replace(note=NOTE)
    return Report(tables, _ratios(*all_added.values()), _apps.PEERS)


def _ratios(starlette: Any, fastapi: Any, workers: Any) -> list[Ratio]:
    ratios = []
    peer = "prometheus-fastapi-instrumentator"
    if peer in starlette:
        it = times(starlette[peer].median, starlette["ours"].median)
        ratios.append(Ratio("added CPU, Starlette: fastapi-instrumentator / ours", it, least=25))
        it = times(workers[peer].median, workers["ours"].median)
        ratios.append(Ratio("the same, several workers", it, least=25))
    if "FastAPI telemetry" in fastapi:
        it = times(fastapi["FastAPI telemetry"].median, fastapi["ours"].median)
        ratios.append(
            Ratio("added CPU, FastAPI with included routers: its own telemetry / ours", it, least=10)
        )
    it = times(starlette["ours"].median, starlette["ours, in memory"].median)
    ratios.append(Ratio("added CPU, ours for several workers / ours for one", it, most=1.15))
    return ratios


if __name__ == "__main__":
    from benchmarks._measure import main

    main("http_overhead", measure)

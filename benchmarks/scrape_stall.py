"""How long requests wait while a large page is scraped from the same event loop."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import generate_latest, make_asgi_app

from benchmarks import _apps
from benchmarks._measure import Quartiles, Ratio, Report, Table, in_a_process
from benchmarks.exposition import fill_ours, fill_stock
from exporter.instrument.asgi import HTTPMetrics

EVERY = 0.001  # seconds between two requests
Scrape = Callable[[], Awaitable[Any]]
THREAD, LOOP, OURS = "generate_latest in a thread", "prometheus_client.make_asgi_app", "ours"
RECORDS = {
    "no scrape": "the timer's own granularity, over 0.2 s",
    THREAD: "what a plain `def` endpoint does, so the way of the peers",
    LOOP: "on the loop, without compression",
    OURS: "the middleware's own page, on the loop",
    f"{OURS}, gzip": "the same, compressed as Prometheus asks for",
}


def run(lines: int, scrapes: int) -> dict[str, list[dict[str, float]]]:
    """Return p99 and greatest delay of requests in each scrape, and how long that took, in milliseconds."""
    return asyncio.run(_run(lines, scrapes))


async def _run(lines: int, scrapes: int) -> dict[str, list[dict[str, float]]]:
    store, registry = fill_ours(lines), fill_stock(lines)
    app = HTTPMetrics(_endpoint, store)
    candidates: dict[str, Scrape] = {
        "no scrape": lambda: asyncio.sleep(0.2),
        THREAD: lambda: asyncio.to_thread(generate_latest, registry),
        LOOP: lambda: make_asgi_app(registry, disable_compression=True)(_scope("/metrics"), _receive, _send),
        OURS: lambda: app(_scope("/metrics"), _receive, _send),
        f"{OURS}, gzip": lambda: app(_scope("/metrics", (b"accept-encoding", b"gzip")), _receive, _send),
    }
    visited = _apps.ours(_apps.starlette_app)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in candidates}
    for scrape in candidates.values():  # warm-up; the first scrape of a process is in workers_merge
        await scrape()
    for number in range(scrapes):
        names = list(candidates)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()
            found[name].append(await _one(visited, candidates[name]))
    return found


async def _one(app: Any, scrape: Scrape) -> dict[str, float]:
    """Serve a request every millisecond, scrape in between, and say how late the requests were."""
    delays: list[float] = []
    over = asyncio.Event()

    async def visitors() -> None:
        due = time.perf_counter()
        while not over.is_set():
            due += EVERY
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            # Those that should have come during a stall are served one after the other, each with its delay.
            delays.append(time.perf_counter() - due)
            await app(_scope("/things27/7"), _receive, _send)

    coming = asyncio.create_task(visitors())
    await asyncio.sleep(0.02)
    delays.clear()
    started = time.perf_counter()
    await scrape()
    took = time.perf_counter() - started
    await asyncio.sleep(2 * EVERY)  # who came at the scrape's last moment is served after it
    over.set()
    await coming
    ordered = sorted(delays)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"p99": p99 * 1000, "greatest": ordered[-1] * 1000, "took": took * 1000}


async def _endpoint(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a short answer"})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


def _scope(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
    }


def measure(tiny: bool) -> Report:
    lines, scrapes = (200, 2) if tiny else (100_000, 15)
    found = in_a_process("benchmarks.scrape_stall:run", lines, scrapes)
    rows: list[tuple[Any, ...]] = []
    for name, all_ in found.items():
        p99 = Quartiles.of([each["p99"] for each in all_])
        greatest = Quartiles.of([each["greatest"] for each in all_]).median
        took = Quartiles.of([each["took"] for each in all_]).median
        rows.append((name, p99.median, f"{p99.low:.1f} to {p99.high:.1f}", greatest, took, RECORDS[name]))
    columns = ("scrape", "p99 delay, ms", "quartiles", "greatest delay, ms", "scrape took, ms", "what it is")
    title = f"Delay of requests, one a millisecond, while {lines:,} series are scraped"
    note = f"Wall clock, over the requests that came during a scrape; medians of {scrapes} scrapes."
    by_name = {row[0]: row[1] for row in rows}
    ratios = [
        Ratio(
            "p99 request delay in a scrape: stock in a thread / ours",
            by_name[THREAD] / by_name[OURS],
            least=12,
        ),
        Ratio("the same, ours with gzip", by_name[THREAD] / by_name[f"{OURS}, gzip"], least=12),
    ]
    return Report([Table(title, columns, rows, note)], ratios)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("scrape_stall", measure)

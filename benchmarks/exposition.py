"""Rendering the page, memory by series, and what one increment through a helper costs."""

import gc
from collections.abc import Iterator
from typing import Any

import prometheus_client
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from benchmarks._measure import Quartiles, Ratio, Report, Table, in_a_process, in_turn, resident, times
from exporter.catalog import Metric
from exporter.store import Store

LABELS = ("method", "route", "status_class")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30)
LINES = len(BUCKETS) + 3  # of one label set: a bucket each, +Inf, count and sum
HELPER = ("provider", "model", "operation", "outcome")
CHOSEN = dict(zip(HELPER, ("openai", "a-model", "chat", "success"), strict=True))


def label_sets(lines: int) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Yield metric number and label values, for as many lines; a metric has at most 1,500 sets of labels.

    One after the other: a list of all of them would be counted as memory of whoever keeps the words.
    """
    for n in range(-(-lines // LINES)):
        yield n // 1500, (("GET", "POST")[n % 2], f"/api/v1/things{n // 10}/{{thing}}", f"{n % 5 + 1}xx")


def fill_ours(lines: int) -> Store:
    store = Store.of(CollectorRegistry())
    for n, (metric, values) in enumerate(label_sets(lines)):
        declared = Metric(f"bench{metric}_duration_seconds", "histogram", "Duration.", LABELS, BUCKETS)
        declared.on(store).labels(*values).observe(n % 97 / 10)
    return store


def fill_stock(lines: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    made: dict[int, Any] = {}
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    for n, (metric, values) in enumerate(label_sets(lines)):
        if metric not in made:
            name = f"bench{metric}_duration_seconds"
            made[metric] = prometheus_client.Histogram(
                name, "Duration.", LABELS, buckets=BUCKETS, registry=registry
            )
        made[metric].labels(*values).observe(n % 97 / 10)
    return registry


def rendering(lines: int, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of CPU time of a whole page, every round."""
    store, registry = fill_ours(lines), fill_stock(lines)
    mine, stock = store.page().decode(), generate_latest(registry).decode()
    if sorted(_numbers(mine)) != sorted(_numbers(stock)):
        raise RuntimeError("the two pages differ")
    gc.collect()
    gc.freeze()
    taken = in_turn({"generate_latest": lambda: generate_latest(registry), "ours": store.page}, rounds)
    return {name: [ns / 1e6 for ns in all_] for name, all_ in taken.items()}


def _numbers(page: str) -> list[tuple[str, float]]:
    """Return the series of the measured metrics with their values."""
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith("bench")]
    return [
        (",".join(sorted(name.replace("{", ",").rstrip("}").split(","))), float(value))
        for name, _, value in lines
    ]


def memory(who: str, lines: int) -> dict[str, float]:
    """Return bytes by line of the page, before and after the first scrape. In a fresh process."""
    fill, small = (fill_ours, fill_ours(LINES)) if who == "ours" else (fill_stock, fill_stock(LINES))
    _page(small)
    gc.collect()
    before = resident()
    full = fill(lines)
    gc.collect()
    filled = resident()
    _page(full)
    gc.collect()
    return {"recorded": (filled - before) / lines, "scraped": (resident() - before) / lines}


def _page(full: Any) -> None:
    if isinstance(full, Store):
        for _ in full.pages():  # as it is served: piece by piece
            pass
    else:
        generate_latest(full)


def helper(rounds: int, calls: int) -> dict[str, list[float]]:
    """Return nanoseconds of one increment of a series with four labels."""
    registry = CollectorRegistry()
    stock = prometheus_client.Counter("bench_calls", "Calls.", HELPER, registry=registry)
    declared = Metric("bench_ours_total", "counter", "Calls.", HELPER)
    ours = declared.on(Store.of(registry))
    kept = ours.labels(*CHOSEN.values())
    values = tuple(CHOSEN.values())

    def stock_labels() -> None:
        for _ in range(calls):
            stock.labels(**CHOSEN).inc()

    def ours_labels() -> None:
        for _ in range(calls):
            ours.labels(*values).inc()

    def ours_kept() -> None:
        for _ in range(calls):
            kept.inc()

    batches = {
        "labels(**kw).inc()": stock_labels,
        "ours, labels(...).inc()": ours_labels,
        "ours, series kept": ours_kept,
    }
    return {name: [ns / calls for ns in all_] for name, all_ in in_turn(batches, rounds).items()}


def measure(tiny: bool) -> Report:
    sizes = (100, 200) if tiny else (1_000, 10_000, 100_000)
    rows: list[tuple[Any, ...]] = []
    for lines in sizes:
        taken = in_a_process(
            "benchmarks.exposition:rendering", lines, 2 if tiny else 9 if lines > 10_000 else 30
        )
        stock, mine = Quartiles.of(taken["generate_latest"]), Quartiles.of(taken["ours"])
        rows.append(
            (
                lines,
                stock.median,
                mine.median,
                f"{mine.low:.2f} to {mine.high:.2f}",
                stock.median / mine.median,
            )
        )
    columns = ("series", "generate_latest, ms", "ours, ms", "quartiles of ours", "times faster")
    render = Table("Rendering the page (text 0.0.4, no compression)", columns, rows)
    told = {
        who: in_a_process("benchmarks.exposition:memory", who, sizes[-1])
        for who in ("prometheus_client", "ours")
    }
    rows = [(who, it["recorded"], it["scraped"]) for who, it in told.items()]
    note = f"{len(BUCKETS)} buckets, {LINES} lines a label set. RSS of a fresh process by line of the page."
    heads = ("candidate", "bytes by series, recorded", "bytes by series, after the first scrape")
    bytes_ = Table(f"Memory at {sizes[-1]:,} series", heads, rows, note)
    taken = in_a_process("benchmarks.exposition:helper", 2 if tiny else 60, 20 if tiny else 5_000)
    rows = [
        (name, it.median, f"{it.low:.0f} to {it.high:.0f}")
        for name, it in ((k, Quartiles.of(v)) for k, v in taken.items())
    ]
    helpers = Table("One increment, four labels", ("candidate", "ns", "quartiles"), rows)
    memories = [times(told["prometheus_client"][key], told["ours"][key]) for key in ("recorded", "scraped")]
    ratios = [
        Ratio(f"render {sizes[-1]:,} series: generate_latest / ours", render.rows[-1][-1], least=30),
        Ratio("bytes by series: prometheus_client / ours", memories[0], least=10),
        Ratio("the same, after the first scrape", memories[1], least=10),
        Ratio("helper increment: labels(**kw).inc() / ours, series kept", rows[0][1] / rows[2][1], least=10),
    ]
    return Report([render, bytes_, helpers], ratios)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("exposition", measure)

"""One page from many workers: the first scrape that a worker answers, and every later one."""

import os
import random
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._measure import Quartiles, Ratio, Report, Table, in_a_process
from exporter.catalog import Metric
from exporter.store import Store

LABELS = ("method", "route", "status_class")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30)
SETS = 118  # of labels in every worker: 2,006 values as prometheus_client keeps them
DURATION = Metric("bench_duration_seconds", "histogram", "Duration.", LABELS, BUCKETS)


def label_sets(worker: int) -> list[tuple[str, str, str]]:
    """Return the same series for every worker, in its own order: no two serve the same first requests."""
    sets = [
        (("GET", "POST")[n % 2], f"/api/v1/things{n // 4}/{{thing}}", f"{n % 4 + 2}xx") for n in range(SETS)
    ]
    random.Random(worker).shuffle(sets)  # noqa: S311 - an order, not a secret
    return sets


class Worker:
    """A forked process that does what it is told, one word at a time."""

    def __init__(self, serve: Callable[[str], Any]) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(orders)
            os.close(answers)
            return
        os.close(self._orders)
        os.close(self._answers)
        try:
            while word := os.read(orders, 64).decode():
                os.write(answers, f"{serve(word)}\n".encode())
        finally:  # no exit handlers of the parent's
            os._exit(0)

    def do(self, word: str) -> str:
        """Return the answer; raise RuntimeError when the worker has died of it."""
        os.write(self._orders, word.encode())
        answer = os.read(self._answers, 64).decode().strip()
        if not answer:
            raise RuntimeError(f"a worker died of {word!r}")
        return answer

    def end(self) -> None:
        """End the worker and wait for it."""
        os.close(self._orders)
        os.close(self._answers)
        os.waitpid(self.pid, 0)


def _our_worker(number: int) -> Callable[[str], Any]:
    made: list[Store] = []

    def serve(word: str) -> float:
        if not made:
            made.append(Store.of())
        if word == "count":
            live = DURATION.on(made[0])
            for n, values in enumerate(label_sets(number)):
                live.labels(*values).observe((n + number) % 97 / 10)
            return 0
        started = time.thread_time_ns()
        page = made[0].page()
        taken = (time.thread_time_ns() - started) / 1e6
        return taken if word == "time" else _total(page.decode())

    return serve


def ours(workers: int, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of CPU time: several workers' first page, and later ones when all have counted."""
    # A child must not hold the ends of its elder siblings' pipes, or these would not see them close.
    family = [Worker(_our_worker(number)) for number in range(workers)]
    for worker in family:
        worker.do("count")
    cold = [float(worker.do("time")) for worker in family[:rounds]]
    warm = []
    for _ in range(rounds):
        for worker in family:
            worker.do("count")
        warm.append(float(family[0].do("time")))
    _check(float(family[0].do("total")), workers * (rounds + 1))
    for worker in reversed(family):
        worker.end()
    return {"cold": cold, "warm": warm}


def stock(workers: int, rounds: int) -> list[float]:
    """Return milliseconds of CPU time of MultiProcessCollector's page; it reads all files every time."""
    from prometheus_client import Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import CollectorRegistry

    def writer(number: int) -> Callable[[str], Any]:
        def serve(word: str) -> float:
            live = Histogram(
                DURATION.name, DURATION.help, LABELS, buckets=BUCKETS, registry=CollectorRegistry()
            )
            for n, values in enumerate(label_sets(number)):
                live.labels(*values).observe((n + number) % 97 / 10)
            return 0

        return serve

    for number in range(workers):
        worker = Worker(writer(number))
        worker.do("count")
        worker.end()
    taken = []
    for _ in range(rounds):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        started = time.thread_time_ns()
        page = generate_latest(registry)
        taken.append((time.thread_time_ns() - started) / 1e6)
    _check(_total(page.decode()), workers)
    return taken


def _total(page: str) -> float:
    """Return the observations in all series of the page."""
    return sum(
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith(f"{DURATION.name}_count")
    )


def _check(total: float, times: int) -> None:
    """A page that lacks somebody's numbers would be fast for the wrong reason."""
    if total != SETS * times:
        raise RuntimeError(f"the page counts {total:g}, not {SETS * times}")


def measure(tiny: bool) -> Report:
    """Each number of workers in fresh processes."""
    sizes, rounds = ((2, 3), 2) if tiny else ((4, 16, 64), 9)
    rows: list[tuple[Any, ...]] = []
    for workers in sizes:
        with TemporaryDirectory() as folder:
            environment = {"PROMETHEUS_MULTIPROC_DIR": folder}
            theirs = in_a_process("benchmarks.workers_merge:stock", workers, rounds, environment=environment)
        mine = in_a_process("benchmarks.workers_merge:ours", workers, min(rounds, workers))
        old, cold, warm = (Quartiles.of(all_).median for all_ in (theirs, mine["cold"], mine["warm"]))
        rows.append((workers, old, cold, warm, old / cold, old / warm))
    columns = (
        "workers",
        "MultiProcessCollector, ms",
        "ours, first scrape, ms",
        "ours, later, ms",
        "times, first",
        "times, later",
    )
    note = f"{SETS} histograms with {len(BUCKETS)} buckets in every worker, each in its own order."
    table = Table("One page from many workers", columns, rows, note)
    ratios = [
        Ratio(f"merge of {sizes[-1]} workers, warm: MultiProcessCollector / ours", rows[-1][5], least=40),
        Ratio("the same, cold", rows[-1][4], least=8),
    ]
    return Report([table], ratios)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("workers_merge", measure)

"""Random operations over workers, kills, folds and scrapes equal a plain model, to the last count."""

import contextlib
import errno
import itertools
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.catalog import Metric
from exporter.store import live
from tests.exporter.store.simulated import Worker

ORDERS = Metric("orders_total", "counter", "Orders.", ("shop",))
DEPTH = Metric("depth", "gauge", "Depth.", ("queue",))
AGE = Metric("age_seconds", "gauge", "Age.", merge="max")
LAST = Metric("last_timestamp_seconds", "gauge", "Last.", ("task",), merge="newest")
# Two releases of the application: the second has moved its bounds, and has one more label elsewhere.
WAIT = (
    Metric("wait_seconds", "histogram", "Time waited.", buckets=(1, 2)),
    Metric("wait_seconds", "histogram", "Time waited.", buckets=(1, 3)),
)
SENT = (
    Metric("sent_total", "counter", "Sent.", ("to",)),
    Metric("sent_total", "counter", "Sent to whom and how.", ("to", "how")),
)
METRICS = ("orders", "sent", "wait", "depth", "age", "last")
NAMES = st.sampled_from("abc")
NUMBERS = st.integers(0, 5)
MOST_WORKERS = 4
STEPS = st.sampled_from(("write_bytes", "replace", "unlink"))
FEW = st.integers(0, 20)


class KilledError(BaseException):
    """The process is gone at this instant."""


class Workers(RuleBasedStateMachine):
    """Workers of two releases come and go; whoever is scraped says what all have counted."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.pairs = [(Worker(self.folder), Model(release)) for release in (0, 0, 1)]
        self.gone = []
        self.last = {}
        self.noted = ({}, {})  # by release: the last trace of each bucket
        self.traces = itertools.count(1)
        clock = itertools.count(1)
        self.time = mock.patch.object(live.time, "time", lambda: float(next(clock)))
        self.time.start()

    def teardown(self):
        self.time.stop()
        for worker, _ in self.pairs:
            worker.die()
        shutil.rmtree(self.folder)

    def pair(self, number):
        return self.pairs[number % len(self.pairs)]

    @precondition(lambda self: len(self.pairs) < MOST_WORKERS)
    @rule(release=st.integers(0, 1))
    def start(self, release):
        self.pairs.append((Worker(self.folder), Model(release)))

    @rule(number=FEW, what=st.sampled_from(METRICS), name=NAMES, amount=NUMBERS)
    def record(self, number, what, name, amount):
        worker, model = self.pair(number)
        release = model.release
        if what == "orders":
            worker.on(ORDERS).labels(name).inc(amount)
            model.add((None, "orders_total", (name,)), amount)
        elif what == "sent":
            labels = (name, "mail")[: release + 1]
            worker.on(SENT[release]).labels(*labels).inc(amount)
            model.add((release, "sent_total", labels), amount)
        elif what == "wait":
            trace = format(next(self.traces), "032x") if name != "a" else ""
            worker.on(WAIT[release]).observe(amount, trace)
            buckets = [0, 0, 0]
            bucket = sum(bound < amount for bound in WAIT[release].buckets)
            buckets[bucket] = 1
            if trace:
                self.noted[release][bucket] = trace
            model.add((release, "wait_seconds", ()), *buckets, amount)
        elif what == "depth":
            worker.on(DEPTH).labels(name).inc(amount - 2)
            model.depth[name] = model.depth.get(name, 0) + amount - 2
        elif what == "age":
            worker.on(AGE).set(amount)
            model.age = amount
        else:
            worker.on(LAST).labels(name).set(amount)
            self.last[name] = amount

    @precondition(lambda self: len(self.pairs) > 1)
    @rule(number=FEW)
    def kill(self, number):
        worker, model = self.pairs.pop(number % len(self.pairs))
        worker.die()
        self.gone.append(model)

    @precondition(lambda self: len(self.pairs) > 1)
    @rule(number=FEW, step=STEPS)
    def die_while_folding(self, number, step):
        """Killed right before a step of the fold, where there was anything to fold."""
        with mock.patch.object(Path, step, side_effect=KilledError), contextlib.suppress(KilledError):
            self.pair(number)[0].numbers()
            return
        self.kill(number)

    @rule(number=FEW, step=STEPS)
    def scrape_without_room(self, number, step):
        """A full or read-only disk: what cannot be folded is read as it is."""
        with mock.patch.object(Path, step, side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.scrape(number)

    @rule(number=FEW)
    def scrape(self, number):
        worker, model = self.pair(number)
        page = worker.page()
        for key, value in self.expected(worker, model.release).items():
            assert page.pop(key) == value, key
        # What remains: gauges that nobody moves any more, and what only another release declares.
        for (name, _), value in page.items():
            assert value == 0 or (name in ("sent_total", "wait_seconds") and name not in worker.live)

        self.check_exemplars(worker, model.release)

    def check_exemplars(self, worker, release):
        if "wait_seconds" in worker.live:
            found = worker.numbers().exemplars()
            assert [{b: e.trace.hex() for b, e in each.items()} for each in found.values()] == (
                [self.noted[release]] if self.noted[release] else []
            )

    @invariant()
    def files_stay_few(self):
        assert len(list(self.folder.glob("*.cells"))) <= 2 * MOST_WORKERS

    def expected(self, worker, release):
        """Return what the page of this worker must say, in the shape that its release gives the metrics."""
        found = {}
        for model in (*self.gone, *(model for _, model in self.pairs)):
            for (of, name, labels), cells in model.counts.items():
                if of is None or (of == release and name in worker.live):
                    before = found.get((name, labels), [0] * len(cells))
                    found[name, labels] = [a + b for a, b in zip(before, cells, strict=True)]
        found = {key: cells if len(cells) > 1 else cells[0] for key, cells in found.items()}
        for _, model in self.pairs:
            for queue, depth in model.depth.items():
                found["depth", (queue,)] = found.get(("depth", (queue,)), 0) + depth
        ages = [model.age for _, model in self.pairs if model.age is not None]
        if ages:
            found["age_seconds", ()] = max(ages)
        return found | {("last_timestamp_seconds", (task,)): when for task, when in self.last.items()}


class Model:
    """What one worker has recorded, in plain words."""

    def __init__(self, release):
        self.release = release
        self.counts = {}  # by release where it matters, metric and labels
        self.depth = {}
        self.age = None

    def add(self, key, *amounts):
        cells = self.counts.setdefault(key, [0] * len(amounts))
        self.counts[key] = [a + b for a, b in zip(cells, amounts, strict=True)]


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(
    max_examples=70, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)

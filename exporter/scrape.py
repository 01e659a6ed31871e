"""Running the collectors: together, under a deadline, with the one error boundary."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from exporter.catalog import Metric, Sample
from exporter.collectors import CollectorSettings, Keep
from exporter.collectors._reasons import advice, places, reached, reason

SUCCESS = Metric(
    "watchkeeper_collector_success",
    "gauge",
    "1 when the collector's last run gave its samples, 0 when it failed or was late.",
    ("collector",),
)
DURATION = Metric(
    "watchkeeper_collector_duration_seconds",
    "gauge",
    "Time that the collector's last run took, or has taken so far when it is late.",
    ("collector",),
)
LAST_SUCCESS = Metric(
    "watchkeeper_collector_last_success_timestamp_seconds",
    "gauge",
    "When the collector last gave its samples, as Unix time; how old cached ones are.",
    ("collector",),
)
FAILURES = Metric(
    "watchkeeper_collector_failures_total",
    "counter",
    "Failed runs of a collector, by reason.",
    ("collector", "reason"),
)

_CLOSE_SECONDS = 1.0

# What the page has besides our declarations comes from prometheus_client, and Prometheus adds its own.
_RESERVED_PREFIXES = ("watchkeeper_", "process_", "python_", "scrape_")
_RESERVED = ("up", "ALERTS", "ALERTS_FOR_STATE")

_log = logging.getLogger("watchkeeper.scrape")


def reserved(name: str) -> bool:
    """Whether no collector may publish a metric of this name."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


class PageError(Exception):
    """What a collector gave cannot stand on the page; the message names the metric, and no label's value."""


@dataclass(frozen=True)
class Outcome:
    """How one run of a collector ended: all of its samples, or none and the error."""

    seconds: float
    samples: list[Sample] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def reason(self) -> str:
        """Why it failed, from a closed set; empty when it did not."""
        return reason(self.error) if self.error else ""

    @property
    def advice(self) -> str:
        """What to do about it, in one sentence without secrets; empty when there is nothing."""
        return advice(self.error) if self.error else ""

    @property
    def place(self) -> str:
        """Where an error came from that has no better reason; empty for all others."""
        if self.error is None or self.reason != "error":
            return ""
        return f"{type(self.error).__name__} at {places(self.error)}"


class Runner:
    """One collector: runs it, one run at a time, and remembers the last outcome."""

    def __init__(
        self, name: str, module: ModuleType, settings: CollectorSettings, owners: dict[str, str]
    ) -> None:
        self.name = name
        self.up: Metric | None = getattr(module, "UP", None)
        self.failures: dict[str, int] = {}
        self.last_success = 0.0
        self.last: Outcome | None = None
        self.started = 0.0
        self._module = module
        self._settings = settings
        self._owners = owners  # of the names on the page; shared by all runners
        self._keep = Keep()
        self._task: asyncio.Task[Outcome] | None = None

    def current(self) -> "asyncio.Task[Outcome]":
        """Return the run under way, or start one: scrapes that meet share a run."""
        if self._task is None or self._task.done():
            self.started = time.monotonic()
            self._task = asyncio.create_task(self._run(), name=f"collector {self.name}")
        return self._task

    def cached(self) -> Outcome | None:
        """Return the last outcome when this collector runs in the background, and refresh it when due."""
        if not self._settings.interval or self.last is None:
            return None
        if time.monotonic() - self.started >= self._settings.interval:
            self.current()
        return self.last

    async def close(self) -> None:
        """End a run under way and close what the collector holds open."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        await self._drop()

    async def _run(self) -> Outcome:
        try:
            async with asyncio.timeout(self._settings.timeout):
                samples = [sample async for sample in self._module.collect(self._settings, self._keep)]
            self._refuse_clashes(samples)
            _refuse_duplicates(samples)
        except Exception as error:
            outcome = Outcome(time.monotonic() - self.started, error=error)
            self._failed(outcome)
            await self._drop()
        else:
            outcome = Outcome(time.monotonic() - self.started, samples)
            self.last_success = time.time()
            if self.last is not None and self.last.error:
                _log.info("collector %s works again", self.name)
        self.last = outcome
        return outcome

    def _refuse_clashes(self, samples: list[Sample]) -> None:
        """Take possession of the names; who published one first keeps it."""
        names = {sample.metric.name for sample in samples}
        for name in sorted(names):
            owner = "Watchkeeper itself" if reserved(name) else self._owners.get(name, self.name)
            if owner != self.name:
                raise PageError(f"metric {name} is published by {owner} already")
        self._owners.update(dict.fromkeys(names, self.name))

    def _failed(self, outcome: Outcome) -> None:
        self.failures[outcome.reason] = self.failures.get(outcome.reason, 0) + 1
        if self.last is None or self.last.reason != outcome.reason:  # said once, not at every scrape
            _log.warning("collector %s failed (%s): %s", self.name, outcome.reason, outcome.advice)
            if outcome.place:
                _log.warning("collector %s: %s", self.name, outcome.place)

    async def _drop(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._keep.drop()


class Scraper:
    """All collectors of an exporter."""

    def __init__(
        self, collectors: Mapping[str, tuple[ModuleType, CollectorSettings]], *, extra: Iterable[Sample] = ()
    ) -> None:
        self._extra = list(extra)
        owners: dict[str, str] = {}
        self.runners = [Runner(name, *collector, owners) for name, collector in collectors.items()]
        for runner in self.runners:
            if runner.up is not None:
                owners[runner.up.name] = f"the scrape for {runner.name}"
        self._waits: set[asyncio.Task[object]] = set()

    async def scrape(self, deadline: float) -> list[Sample]:
        """Return the samples of every collector that has answered within `deadline` seconds.

        A late or failed collector gives none, and its success series says so. A late run is not given
        up: the next scrape joins it.
        """
        samples = list(self._extra)
        for runner, outcome in await self.outcomes(deadline):
            samples.extend(outcome.samples)
            samples.extend(_health(runner, outcome))
        return samples

    async def outcomes(self, deadline: float) -> list[tuple[Runner, Outcome]]:
        """Run every collector, and return how each ended or that it is late."""
        cached = {runner: runner.cached() for runner in self.runners}
        tasks = {runner: runner.current() for runner in self.runners if cached[runner] is None}
        if tasks:
            await self._wait(tasks.values(), deadline)
        return [(runner, cached[runner] or _result(runner, tasks[runner])) for runner in self.runners]

    async def close(self) -> None:
        """End all runs and close all connections, in bounded time. A scrape under way answers at once."""
        for wait in self._waits:
            wait.cancel()
        await asyncio.gather(*(runner.close() for runner in self.runners))

    async def _wait(self, tasks: Iterable["asyncio.Task[Outcome]"], deadline: float) -> None:
        wait: asyncio.Task[object] = asyncio.create_task(asyncio.wait(tasks, timeout=deadline))
        self._waits.add(wait)
        try:
            await asyncio.wait([wait])  # does not raise when `close` cancels it: the page is still made
        finally:
            wait.cancel()
            self._waits.discard(wait)


def _result(runner: Runner, task: "asyncio.Task[Outcome]") -> Outcome:
    if task.done() and not task.cancelled():
        return task.result()
    return Outcome(time.monotonic() - runner.started, error=TimeoutError("no answer within the deadline"))


def _health(runner: Runner, outcome: Outcome) -> Iterable[Sample]:
    yield SUCCESS.sample(0 if outcome.error else 1, collector=runner.name)
    yield DURATION.sample(outcome.seconds, collector=runner.name)
    if runner.last_success:
        yield LAST_SUCCESS.sample(runner.last_success, collector=runner.name)
    for why, count in runner.failures.items():
        yield FAILURES.sample(count, collector=runner.name, reason=why)
    if runner.up is not None:
        yield runner.up.sample(1 if outcome.error is None or reached(outcome.error) else 0)


def _refuse_duplicates(samples: list[Sample]) -> None:
    """Of a series that stands twice Prometheus keeps one value without a word: perhaps the wrong one."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for sample in samples:
        series = (sample.metric.name, sample.labels)
        if series in seen:
            raise PageError(f"metric {sample.metric.name} has two values for the same labels")
        seen.add(series)

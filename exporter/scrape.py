"""A scrape: all collectors together, under a deadline, as samples or as the page."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import ModuleType

from exporter.catalog import Metric, Sample
from exporter.collectors import CollectorSettings, Shared, parts_of
from exporter.collectors._reasons import reached
from exporter.runner import Names, Outcome, Runner, Troubles, reserved
from exporter.store.readings import Block, blocks, grouped, page

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

Reading = tuple[Runner, Outcome]


class Scraper:
    """All collectors of one page."""

    def __init__(
        self, collectors: Mapping[str, tuple[ModuleType, CollectorSettings]], *, extra: Iterable[Sample] = ()
    ) -> None:
        self._extra = list(extra)
        self._shared = Shared()
        names, troubles = Names(), Troubles()
        self.runners = [
            Runner(
                name,
                part,
                settings,
                names=names,
                shared=self._shared,
                troubles=troubles,
                up=getattr(module, "UP", None),
            )
            for name, (module, settings) in collectors.items()
            for part in parts_of(module, settings)
        ]
        for runner in self.runners:
            if runner.up is not None:
                names.reserve(runner.up.name, f"the scrape for {runner.collector}")
        self._waits: set[asyncio.Task[object]] = set()

    async def scrape(self, deadline: float, only: Collection[str] = ()) -> list[Sample]:
        """Return the samples of every collector that has answered within `deadline` seconds.

        `only` names the collectors, or their parts, to run; empty means all. A late or failed collector
        gives none, and its success series says so. A late run is not given up: the next scrape joins it.
        """
        readings = await self.outcomes(deadline, only)
        samples = [*self._extra, *_health(readings)]
        for runner, outcome in readings:
            samples.extend(_shown(runner, outcome).samples)
        return samples

    async def page(self, deadline: float, only: Collection[str] = ()) -> str:
        """Return the same as text for Prometheus."""
        readings = await self.outcomes(deadline, only)
        own: Mapping[str, Block] = blocks(grouped([*self._extra, *_health(readings)]))
        return page([own, *(_shown(runner, outcome).blocks for runner, outcome in readings)])

    async def outcomes(self, deadline: float, only: Collection[str] = ()) -> list[Reading]:
        """Run every collector, and return how each ended or that it is late."""
        chosen = [each for each in self.runners if not only or each.name in only or each.collector in only]
        cached = {runner: runner.background() for runner in chosen}
        tasks = {runner: runner.current() for runner in chosen if cached[runner] is None}
        limits = {runner: min(deadline, runner.patience) for runner in tasks}
        await asyncio.gather(
            *(
                self._wait([tasks[runner] for runner in tasks if limits[runner] == limit], limit)
                for limit in set(limits.values())
            )
        )
        return [(runner, cached[runner] or _result(runner, tasks[runner])) for runner in chosen]

    def known(self) -> set[str]:
        """Return what `only` can name."""
        return {runner.name for runner in self.runners} | {runner.collector for runner in self.runners}

    async def close(self) -> None:
        """End all runs and close all connections, in bounded time. A scrape under way answers at once."""
        for wait in self._waits:
            wait.cancel()
        await asyncio.gather(*(runner.close() for runner in self.runners))
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._shared.close()

    async def _wait(self, tasks: Iterable["asyncio.Task[Outcome]"], deadline: float) -> None:
        wait: asyncio.Task[object] = asyncio.create_task(asyncio.wait(tasks, timeout=deadline))
        self._waits.add(wait)
        try:
            await asyncio.wait([wait])  # does not raise when `close` cancels it: the page is still made
        finally:
            wait.cancel()
            self._waits.discard(wait)


def _result(runner: Runner, task: "asyncio.Task[Outcome]") -> Outcome:
    return task.result() if task.done() and not task.cancelled() else runner.late()


def _shown(runner: Runner, outcome: Outcome) -> Outcome:
    """What a part in the background gave last stays while it is fresh enough, whatever came after."""
    return runner.shown if runner.interval else outcome


def _health(readings: list[Reading]) -> Iterator[Sample]:
    for runner, outcome in readings:
        yield SUCCESS.sample(0 if outcome.error else 1, collector=runner.name)
        yield DURATION.sample(outcome.seconds, collector=runner.name)
        if runner.last_success:
            yield LAST_SUCCESS.sample(runner.last_success, collector=runner.name)
        for why, count in runner.failures.items():
            yield FAILURES.sample(count, collector=runner.name, reason=why)
    yield from _ups(readings)


def _ups(readings: list[Reading]) -> Iterator[Sample]:
    """A server is up when any part of its collector that has just run was let in."""
    for up in {runner.up: None for runner, _ in readings if runner.up is not None}:
        its = [(runner, outcome) for runner, outcome in readings if runner.up is up]
        # What the background found may be old; it speaks where nothing else does.
        now = [outcome for runner, outcome in its if not runner.interval] or [outcome for _, outcome in its]
        yield up.sample(int(any(each.error is None or reached(each.error) for each in now)))


__all__ = ["DURATION", "FAILURES", "LAST_SUCCESS", "SUCCESS", "Outcome", "Runner", "Scraper", "reserved"]

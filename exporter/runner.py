"""One collector's part at work: its runs, one at a time, and what they gave last. The error boundary."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from exporter.catalog import Metric, Sample
from exporter.collectors import CollectorSettings, Keep, Part, Shared
from exporter.collectors._reasons import REASONS, UNREACHED, advice, places, reason
from exporter.store.readings import Block, blocks, grouped

# What the page has besides our declarations comes from prometheus_client, and Prometheus adds its own.
_RESERVED_PREFIXES = ("watchkeeper_", "process_", "python_", "scrape_")
_RESERVED = ("up", "ALERTS", "ALERTS_FOR_STATE")

_CLOSE_SECONDS = 1.0
# What was late last time may hang: it is tried again, and only so long does a scrape wait for it.
_PATIENCE_SECONDS = 1.0
# A part in the background that failed is tried again before its interval is over.
_RETRY_SECONDS = 15.0
# Samples of the background older than so many intervals are not shown any more.
_STALE_INTERVALS = 3

_log = logging.getLogger("watchkeeper.scrape")


def reserved(name: str) -> bool:
    """Whether no collector may publish a metric of this name."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


class PageError(Exception):
    """What a collector gave cannot stand on the page; the message names the metric, and no label's value."""


@dataclass(frozen=True)
class Outcome:
    """How one run ended: with all of its samples, or with the error. `seconds` is the time it took."""

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

    @cached_property
    def groups(self) -> dict[str, list[Sample]]:
        """The samples by their metric's name."""
        return grouped(self.samples)

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """The samples as text; made once, however often a scrape shows what the background gave."""
        return blocks(self.groups)


NOTHING = Outcome(0.0)


class Names:
    """Who publishes which metric: the first keeps the name, and parts of a collector may share one."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._givers: dict[str, set[Runner]] = {}  # by metric, the parts that have given it

    def reserve(self, name: str, owner: str) -> None:
        """Keep a name from all collectors."""
        self._owners[name] = owner

    def take(self, runner: "Runner", outcome: Outcome) -> None:
        """Raise PageError when something in the outcome cannot stand on the page beside the others'."""
        for name in outcome.groups:
            owner = "Watchkeeper itself" if reserved(name) else self._owners.get(name, runner.collector)
            if owner != runner.collector:
                raise PageError(f"metric {name} is published by {owner} already")
        for name, group in outcome.groups.items():
            givers = self._givers.setdefault(name, set())
            others = givers - {runner}
            if len(group) == 1 and not others:
                givers.add(runner)
                continue
            series = {sample.labels for sample in group}
            if len(series) < len(group):
                raise PageError(f"metric {name} has two values for the same labels")
            for other in others:
                if any(each.labels in series for each in other.shown.groups.get(name, ())):
                    raise PageError(f"metric {name} has another value for the same labels in {other.name}")
            givers.add(runner)
        self._owners.update(dict.fromkeys(outcome.groups, runner.collector))


class Troubles:
    """What is wrong now: a server that is gone is told of once, and not by each part that asks it."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], set[str]] = {}  # by collector and reason

    def began(self, runner: "Runner", outcome: Outcome) -> None:
        """Tell of a failure, unless it is known, or the whole collector has it."""
        parts = self._parts.setdefault((runner.collector, outcome.reason), set())
        known = bool(parts) if outcome.reason in UNREACHED else runner.name in parts
        parts.add(runner.name)
        for each in REASONS:
            if each != outcome.reason:
                self._parts.get((runner.collector, each), set()).discard(runner.name)
        if known:
            return
        name = runner.collector if outcome.reason in UNREACHED else runner.name
        _log.warning("collector %s failed (%s): %s", name, outcome.reason, outcome.advice)
        if outcome.place:
            _log.warning("collector %s: %s", runner.name, outcome.place)

    def ended(self, runner: "Runner") -> None:
        """Tell that what was wrong is over, when it is for all parts."""
        for (collector, why), parts in self._parts.items():
            if collector == runner.collector and runner.name in parts:
                parts.discard(runner.name)
                if not parts:
                    name = collector if why in UNREACHED else runner.name
                    _log.info("collector %s works again", name)


class Runner:
    """One part of a collector. Its `name` stands in logs and in the label `collector`."""

    def __init__(
        self,
        collector: str,
        part: Part,
        settings: CollectorSettings,
        *,
        names: Names,
        shared: Shared,
        troubles: Troubles,
        up: Metric | None = None,
    ) -> None:
        self.collector = collector
        self.name = f"{collector}.{part.name}" if part.name else collector
        self.up = up
        self.interval = settings.interval if part.interval is None else part.interval
        self.timeout = settings.timeout if part.timeout is None else part.timeout
        self.failures: dict[str, int] = {}
        self.last: Outcome | None = None
        self.last_success = 0.0  # Unix time
        self._collect = part.collect
        self._settings = settings
        self._names = names
        self._troubles = troubles
        self._keep = Keep(shared)
        self._good = NOTHING
        self._good_until = 0.0
        self._started = 0.0
        self._task: asyncio.Task[Outcome] | None = None

    @property
    def shown(self) -> Outcome:
        """What the last good run gave, while it can still be on the page."""
        if self.interval:
            return self._good if time.monotonic() < self._good_until else NOTHING
        return self._good if self.last is not None and self.last.error is None else NOTHING

    @property
    def patience(self) -> float:
        """Seconds that a scrape should wait for this part at most."""
        hung = self.last is not None and self.last.reason == "timeout"
        return _PATIENCE_SECONDS if hung else float("inf")

    def current(self) -> "asyncio.Task[Outcome]":
        """Return the run under way, or start one: scrapes that meet share a run."""
        if self._task is None or self._task.done():
            self._started = time.monotonic()
            self._task = asyncio.create_task(self._run(), name=f"collector {self.name}")
        return self._task

    def background(self) -> Outcome | None:
        """Return the last outcome of a part in the background, and start a run when one is due.

        None where there is nothing yet that could be shown: then the scrape has to wait.
        """
        if not self.interval or self.last is None:
            return None
        if self.last.error is None and time.monotonic() >= self._good_until:
            return None  # nobody has scraped for long: what there is would be too old to show
        wait = min(self.interval, _RETRY_SECONDS) if self.last.error else self.interval
        if time.monotonic() - self._started >= wait:
            self.current()
        return self.last

    def late(self) -> Outcome:
        """Return the outcome of a run that has not ended yet."""
        error = TimeoutError("no answer within the deadline")
        return Outcome(time.monotonic() - self._started, error=error)

    async def close(self) -> None:
        """End a run under way and close what the part holds open."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        await self._drop()

    async def _run(self) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout):
                samples = [sample async for sample in self._collect(self._settings, self._keep)]
            outcome = Outcome(time.monotonic() - self._started, samples)
            self._names.take(self, outcome)
        except Exception as error:
            outcome = Outcome(time.monotonic() - self._started, error=error)
            self._failed(outcome)
            await self._drop()
        else:
            self.last_success = time.time()
            self._good = outcome
            self._good_until = time.monotonic() + _STALE_INTERVALS * self.interval
            self._troubles.ended(self)
        self.last = outcome
        return outcome

    def _failed(self, outcome: Outcome) -> None:
        self.failures[outcome.reason] = self.failures.get(outcome.reason, 0) + 1
        self._troubles.began(self, outcome)

    async def _drop(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._keep.drop()

"""One component's check: when it is due, one run at a time, and what is shown of it."""

import asyncio
import contextlib
import functools
import inspect
import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.instrument.health._findings import Finding, Reason, Status, failure, finding_of

Function = Callable[[], Any]
PERIOD_SECONDS, TIMEOUT_SECONDS = 10.0, 2.0
_STALE_PERIODS = 3
_JITTER = 0.1  # of the period, so that the workers of an application do not ask all at once
_RANKS: dict[Status, int] = {"healthy": 0, "unknown": 0, "degraded": 1, "unhealthy": 2}


class Settings(NamedTuple):
    """How a component is checked, and what for."""

    critical: bool = False  # it alone makes /api/v1/health a 503
    ready: bool = False  # it belongs to /health/ready
    period: float = PERIOD_SECONDS
    timeout: float = TIMEOUT_SECONDS
    dependency: str = ""  # its name in dependency_up
    timed: bool = True  # its latency is of interest to a reader


class Seen(NamedTuple):
    """What is known of a component: never older than it says."""

    finding: Finding
    latency: float  # seconds
    at: float  # time.monotonic()
    time: float  # Unix time
    expires: float  # time.monotonic()

    @property
    def status(self) -> Status:
        return self.finding.status

    @property
    def reason(self) -> str:
        return self.finding.reason


class Run:
    """One run of a check; it may go on for ever, after its verdict was given."""

    def __init__(self, now: float, timeout: float) -> None:
        self.asked = now
        self.began: float | None = None
        self.judged = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self._timeout = timeout

    @property
    def deadline(self) -> float:
        return (self.began or self.asked) + self._timeout


class Check:
    """Runs one function again and again; knows the last verdict."""

    def __init__(self, name: str, function: Function, settings: Settings, group: str = "") -> None:
        self.name, self.group, self.settings = name, group, settings
        self.label = f"{group}/{name}" if group else name
        self.seen: Seen | None = None
        self.due = 0.0
        self.run: Run | None = None
        self.ended: Callable[[], None] | None = None  # told that a run is over
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - whether calling it makes a coroutine
        )
        # Connections belong to the loop that they were opened in, which is where a check is registered.
        self._loop: asyncio.AbstractEventLoop | None = None
        if self._is_async:
            with contextlib.suppress(RuntimeError):
                self._loop = asyncio.get_running_loop()
        self._doubt = False
        self._made = time.monotonic()
        self._lock = threading.Lock()

    def now(self, now: float) -> Seen:
        """Return what is to be shown: the last verdict, unless it is too old."""
        seen = self.seen
        if seen is not None and now <= seen.expires:
            return seen
        old = seen.expires if seen else self._made + _STALE_PERIODS * self.settings.period
        word: Reason = "stale" if now > old else "pending"
        finding = Finding("unknown", word)
        if seen is None:
            return Seen(finding, 0.0, now, time.time(), now)
        return seen._replace(finding=finding)

    def begin(self, now: float, loop: asyncio.AbstractEventLoop | None) -> None:
        """Start a run where one is due and none is under way."""
        if self.run is not None or now < self.due:
            return
        period = self.settings.period
        self.due = now + period * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        run = self.run = Run(now, self.settings.timeout)
        home = self._loop if self._loop is not None and self._loop.is_running() else loop
        if self._is_async and home is not None:
            run.loop = home
            try:
                home.call_soon_threadsafe(self._start_task, run, home)
                return
            except RuntimeError:  # it was closed just now
                self.run = None
        else:
            self._start_thread(run)

    def expire(self, now: float) -> None:
        """Give the verdict on a run that is over its time. It is not asked again before it ends."""
        run = self.run
        if run is None:
            return
        if run.loop is not None and run.loop.is_closed():
            self.run = None
        elif self._is_async and run.began is None:
            pass  # its loop is busy: that tells nothing of the component, and what is shown grows old
        elif not run.judged and now >= run.deadline:
            self._judge(run, Finding("unhealthy", "timeout"))
            self.cancel()
        elif run.judged and now >= self.due:
            # It hangs still, a period later: as good as another run that came to nothing.
            self.due = now + self.settings.period
            run.judged = False
            self._judge(run, Finding("unhealthy", "timeout"))

    def cancel(self) -> None:
        """Ask a run under way to end, where it can hear that."""
        run = self.run
        if run is None or run.loop is None:
            return
        if run.task is None:
            self.run = None  # so that it will not begin
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the task with it
            run.loop.call_soon_threadsafe(run.task.cancel)

    def restart(self) -> None:
        """Be due at once. A coroutine of before went with its loop; a thread may still be on its way."""
        self.due = 0.0
        if self._is_async:
            self.run = None

    def forget(self) -> None:
        """Start anew, in a forked child: what is under way is the parent's."""
        self._lock = threading.Lock()
        self.run, self.seen, self.due, self._doubt = None, None, 0.0, False
        self._made = time.monotonic()

    def _start_thread(self, run: Run) -> None:
        # A thread of its own, for it may never come back; Python does not wait for it in the end.
        work = functools.partial(self._in_thread, run)
        threading.Thread(target=work, name=f"watchkeeper-health-{self.name}", daemon=True).start()

    def _in_thread(self, run: Run) -> None:
        run.began = time.monotonic()
        try:
            outcome = self._function()
            found = finding_of(asyncio.run(outcome) if self._is_async else outcome)
        except BaseException as error:  # whatever it was, it is this check's alone
            found = failure(error)
        self._end(run, found)

    def _start_task(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        if self.run is run:
            run.task = loop.create_task(self._in_loop(run))

    async def _in_loop(self, run: Run) -> None:
        run.began = time.monotonic()
        found = None
        try:
            found = finding_of(await self._function())
        except asyncio.CancelledError:
            pass  # the verdict was given, or nobody waits for it
        except Exception as error:
            found = failure(error)
        finally:
            self._end(run, found)

    def _end(self, run: Run, found: Finding | None) -> None:
        if self.run is not run:  # of a time before a fork or a stop
            return
        if found is not None:
            self._judge(run, found)
        self.run = None
        if self.ended is not None:
            self.ended()

    def _judge(self, run: Run, found: Finding) -> None:
        now = time.monotonic()
        with self._lock:
            if run.judged:
                return
            run.judged = True
            if found.wait:
                self.due = max(self.due, now + found.wait)
            expires = now + _STALE_PERIODS * max(self.settings.period, self.settings.timeout, found.wait)
            new = Seen(found, now - (run.began or run.asked), now, time.time(), expires)
            shown = self.seen
            # Two bad ones in a row make a verdict worse, one good one makes it better.
            worse = shown is not None and _RANKS[new.status] > _RANKS[shown.status]
            if shown is not None and worse and now <= shown.expires and not self._doubt:
                self._doubt = True
                new = new._replace(finding=shown.finding)
            else:
                self._doubt = False
            self.seen = new

"""Workflows: runs of your own jobs, their steps, how they ended and when one last succeeded."""

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar, cast

from exporter.catalog import Metric, Sample
from exporter.instrument._guard import guarded
from exporter.store import Store

F = TypeVar("F", bound=Callable[..., Any])

# From a tenth of a second to two hours: what background jobs of a SaaS take.
_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)

EXECUTIONS = Metric(
    "workflow_executions_total",
    "counter",
    "Workflow executions finished: success, failure, cancelled or timeout.",
    ("workflow", "status"),
)
DURATION = Metric(
    "workflow_execution_duration_seconds",
    "histogram",
    "Time that an execution took from start to end.",
    ("workflow", "status"),
    buckets=_BUCKETS,
)
IN_PROGRESS = Metric("workflow_executions_in_progress", "gauge", "Executions running now.", ("workflow",))
OLDEST = Metric(
    "workflow_oldest_running_age_seconds",
    "gauge",
    "Age of the execution that has been running longest; 0 when none runs.",
    ("workflow",),
    merge="max",
)
LAST_SUCCESS = Metric(
    "workflow_last_success_timestamp_seconds",
    "gauge",
    "When an execution last ended in success, as Unix time.",
    ("workflow",),
    merge="newest",
)
STEPS = Metric(
    "workflow_step_executions_total",
    "counter",
    "Workflow steps finished, by how they ended.",
    ("workflow", "step", "status"),
)
STEP_DURATION = Metric(
    "workflow_step_duration_seconds",
    "histogram",
    "Time that a workflow step took.",
    ("workflow", "step"),
    buckets=_BUCKETS,
)

STATUSES = ("success", "failure", "cancelled", "timeout")
NO_WORKFLOW = "none"  # a step outside every run

_current: ContextVar["Run | None"] = ContextVar("watchkeeper_run", default=None)


class Workflows:
    """All workflows of one application, and the runs that are under way."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.running: set[Run] = set()
        self._names: set[str] = set()
        store.at_scrape(self._read)
        store.at_fork(self._forked)

    @classmethod
    def of(cls, store: Store) -> "Workflows":
        """Return the workflows of a store, always the same: several applications may share one."""
        return store.share("workflows", lambda: cls(store))

    def declare(self, name: str) -> None:
        """Make the series of a workflow exist at 0, so that its first failure is seen as an increase."""
        if name in self._names:
            return
        self._names.add(name)
        with guarded(self.store, "workflow"):
            for status in STATUSES:
                EXECUTIONS.on(self.store).labels(name, status).inc(0)

    def _read(self) -> Iterator[Sample]:
        now = time.perf_counter()
        for name in list(self._names):
            ages = [now - run.started for run in list(self.running) if run.workflow == name]
            yield IN_PROGRESS.sample(len(ages), workflow=name)
            yield OLDEST.sample(max(ages, default=0.0), workflow=name)

    def _forked(self) -> None:
        """Leave the runs under way to the parent."""
        self.running.clear()

    @contextmanager
    def run(self, name: str, *, current: bool = True) -> Iterator["Run"]:
        """Time one execution. The exception that ends it passes through.

        It is the current run of the code inside, unless that is left and entered again, as generators are.
        """
        run = Run(self.store, name)
        self.running.add(run)
        status = "success"
        try:
            with run.current() if current else nullcontext():
                yield run
        except BaseException as error:
            status = _status(error)
            raise
        finally:
            if run in self.running:  # else it is the run of a process that we were forked from
                self.running.discard(run)
                run.finished(status)

    def step(self, name: str) -> Any:
        """Time a step of the run that this code stands in."""
        return (_current.get() or Run(self.store, NO_WORKFLOW)).step(name)


class Workflow:
    """One workflow: a decorator for functions, and a context manager for one run."""

    def __init__(self, workflows: Workflows, name: str) -> None:
        self._workflows = workflows
        self._name = name
        self._entered: list[Any] = []
        workflows.declare(name)

    def __enter__(self) -> "Run":
        manager = self._workflows.run(self._name)
        self._entered.append(manager)
        return manager.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.pop().__exit__(kind, error, trace)

    async def __aenter__(self) -> "Run":
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Count every call of a plain, async or generator function as one execution."""
        return cast(F, functools.wraps(function)(_wrapper(function, self._workflows, self._name)))


def _wrapper(function: Any, workflows: Workflows, name: str) -> Callable[..., Any]:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        with workflows.run(name):
            return await function(*args, **kwargs)

    async def async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        inner = function(*args, **kwargs)
        with workflows.run(name, current=False) as run:
            resume = functools.partial(inner.asend, None)
            while True:
                with run.current():
                    try:
                        item = await resume()
                    except StopAsyncIteration:
                        return
                try:
                    resume = functools.partial(inner.asend, (yield item))
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    resume = functools.partial(inner.athrow, error)

    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        with workflows.run(name, current=False) as run:
            resume = functools.partial(inner.send, None)
            while True:
                with run.current():
                    try:
                        item = resume()
                    except StopIteration as end:
                        return end.value
                try:
                    resume = functools.partial(inner.send, (yield item))
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:
                    resume = functools.partial(inner.throw, error)

    def plain(*args: Any, **kwargs: Any) -> Any:
        with workflows.run(name):
            return function(*args, **kwargs)

    if inspect.iscoroutinefunction(function):
        return coroutine
    if inspect.isasyncgenfunction(function):
        return async_generator
    return generator if inspect.isgeneratorfunction(function) else plain


class Run:
    """One execution under way."""

    def __init__(self, store: Store, workflow: str) -> None:
        self._store = store
        self.workflow = workflow
        self.started = time.perf_counter()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the run that `obs.step` finds."""
        outer = _current.get()
        _current.set(self)
        try:
            yield
        finally:
            _current.set(outer)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step of this execution. The exception that ends it passes through."""
        started = time.perf_counter()
        status = "success"
        try:
            yield
        except BaseException as error:
            status = _status(error)
            raise
        finally:
            with guarded(self._store, "workflow"):
                STEPS.on(self._store).labels(self.workflow, name, status).inc()
                elapsed = time.perf_counter() - started
                STEP_DURATION.on(self._store).labels(self.workflow, name).observe(elapsed)

    def finished(self, status: str) -> None:
        """Record how the execution ended."""
        with guarded(self._store, "workflow"):
            EXECUTIONS.on(self._store).labels(self.workflow, status).inc()
            elapsed = time.perf_counter() - self.started
            DURATION.on(self._store).labels(self.workflow, status).observe(elapsed)
            if status == "success":
                LAST_SUCCESS.on(self._store).labels(self.workflow).set(time.time())


def _status(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)):
        return "cancelled"
    return "failure"

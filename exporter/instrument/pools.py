"""Connection pools of the application: how full, and how long one waits for a connection."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from exporter.catalog import Metric, Sample
from exporter.instrument._guard import guarded
from exporter.store import Store

CONNECTIONS = Metric(
    "database_pool_connections",
    "gauge",
    "Connections of an application's pool: in_use (lent out) or idle.",
    ("pool", "state"),
)
SIZE_MAX = Metric(
    "database_pool_size_max",
    "gauge",
    "Most connections that the pool may open, overflow included.",
    ("pool",),
)
WAIT = Metric(
    "database_pool_wait_seconds",
    "histogram",
    "Time from asking the pool for a connection until having one.",
    ("pool",),
    # An idle connection takes microseconds; a new one milliseconds; seconds mean an exhausted pool.
    buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
)
TIMEOUTS = Metric(
    "database_pool_timeouts_total",
    "counter",
    "Times that nobody got a connection within the pool's time limit.",
    ("pool",),
)


class Size(Protocol):
    """Reads a pool: connections in use, idle, and the most it may open (None: it knows no limit)."""

    def __call__(self) -> tuple[int, int, int | None]: ...


def watch(store: Store, name: str, pool: Any) -> Callable[[], None]:
    """Watch an asyncpg pool or an SQLAlchemy engine (sync or async); return the function that stops it.

    Raises TypeError for anything else.
    """
    with guarded(store, "pool"):
        TIMEOUTS.on(store).labels(name).inc(0)
    home = type(pool).__module__.split(".")[0]
    if home == "asyncpg" or hasattr(pool, "get_idle_size"):
        size, restore = _watch_asyncpg(store, name, pool)
    elif home == "sqlalchemy" or hasattr(pool, "sync_engine"):
        size, restore = _watch_sqlalchemy(store, name, getattr(pool, "sync_engine", pool))
    else:
        raise TypeError(
            f"watch_pool({name!r}) knows asyncpg pools and SQLAlchemy engines, not {type(pool).__name__}"
        )

    def read() -> Iterator[Sample]:
        used, idle, most = size()
        yield CONNECTIONS.sample(used, pool=name, state="in_use")
        yield CONNECTIONS.sample(idle, pool=name, state="idle")
        if most is not None:
            yield SIZE_MAX.sample(most, pool=name)

    forget = store.at_scrape(read)

    def stop() -> None:
        forget()
        restore()

    return stop


def _watch_asyncpg(store: Store, name: str, pool: Any) -> tuple[Size, Callable[[], None]]:
    original = type(pool)

    # The pool's slots leave no room for an own attribute; a subclass without slots of its own has the
    # same layout, so the pool can change its class, and every way to a connection passes _acquire.
    class Watched(original):  # type: ignore[misc,valid-type]
        __slots__ = ()

        async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's signature
            started = time.perf_counter()
            try:
                return await super()._acquire(timeout)
            except TimeoutError:
                _timed_out(store, name)
                raise
            finally:
                _waited(store, name, started)

    Watched.__name__ = original.__name__
    Watched.__qualname__ = original.__qualname__
    pool.__class__ = Watched

    def size() -> tuple[int, int, int]:
        idle = pool.get_idle_size()
        return pool.get_size() - idle, idle, pool.get_max_size()

    def restore() -> None:
        if type(pool) is Watched:
            pool.__class__ = original

    return size, restore


def _watch_sqlalchemy(store: Store, name: str, engine: Any) -> tuple[Size, Callable[[], None]]:
    from sqlalchemy import event
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    def wrap(pool: Any) -> None:
        take = type(pool)._do_get.__get__(pool)

        def timed() -> Any:
            started = time.perf_counter()
            try:
                return take()
            except PoolTimeout:
                _timed_out(store, name)
                raise
            finally:
                _waited(store, name, started)

        pool._do_get = timed

    def rewrap(engine: Any) -> None:
        wrap(engine.pool)  # dispose() has made a new pool

    wrap(engine.pool)
    event.listen(engine, "engine_disposed", rewrap)

    def size() -> tuple[int, int, int | None]:
        pool = engine.pool
        if not hasattr(pool, "checkedout"):  # NullPool and StaticPool lend without counting
            return 0, 0, None
        overflow = getattr(pool, "_max_overflow", 0)
        most = pool.size() + overflow if overflow >= 0 else None
        return pool.checkedout(), pool.checkedin(), most

    def restore() -> None:
        event.remove(engine, "engine_disposed", rewrap)
        engine.pool.__dict__.pop("_do_get", None)

    return size, restore


def _waited(store: Store, name: str, started: float) -> None:
    with guarded(store, "pool"):
        WAIT.on(store).labels(name).observe(time.perf_counter() - started)


def _timed_out(store: Store, name: str) -> None:
    with guarded(store, "pool"):
        TIMEOUTS.on(store).labels(name).inc()

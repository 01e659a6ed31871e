"""Connection pools against a real Postgres: in use, idle, waited, given up, restored."""

import asyncio

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool


def sizes(observed):
    return tuple(
        observed.value("database_pool_connections", pool="main", state=state) for state in ("in_use", "idle")
    )


def test_an_asyncpg_pool_is_watched(observed, postgres):
    """Sizes at scrape time, a wait for every acquire, a time-out when nobody gets a connection."""

    async def run():
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=2) as pool:
            observed.obs.watch_pool("main", pool)
            assert sizes(observed) == (0, 1)
            assert observed.value("database_pool_size_max", pool="main") == 2
            async with pool.acquire(), pool.acquire() as second:
                assert await second.fetchval("select 1") == 1
                assert sizes(observed) == (2, 0)
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=0.05)
            assert await pool.fetchval("select 2") == 2  # the pool's own shortcuts acquire as well
            assert sizes(observed)[0] == 0
            observed.obs.uninstrument()
            assert type(pool) is asyncpg.Pool
            assert sizes(observed) == (0, 0)

    asyncio.run(run())
    assert observed.value("database_pool_wait_seconds_count", pool="main") == 4
    assert observed.value("database_pool_wait_seconds_sum", pool="main") >= 0.05
    assert observed.value("database_pool_timeouts_total", pool="main") == 1


def test_an_sqlalchemy_engine_is_watched(observed):
    """Its queue pool is measured, through dispose() too, and restored afterwards."""
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=1, pool_timeout=0.05
    )
    observed.obs.watch_pool("main", engine)
    assert observed.value("database_pool_size_max", pool="main") == 2
    with engine.connect(), engine.connect():
        assert sizes(observed) == (2, 0)
        with pytest.raises(sqlalchemy.exc.TimeoutError):
            engine.connect()
    assert observed.value("database_pool_timeouts_total", pool="main") == 1
    before = observed.value("database_pool_wait_seconds_count", pool="main")
    engine.dispose()
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("select 1")) == 1
    assert observed.value("database_pool_wait_seconds_count", pool="main") == before + 1
    observed.obs.uninstrument()
    with engine.connect():
        pass
    assert observed.value("database_pool_wait_seconds_count", pool="main") == before + 1
    engine.dispose()


def test_an_async_sqlalchemy_engine_is_watched(observed, postgres):
    """The async engine's pool is the same pool inside."""

    async def run():
        url = postgres.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        engine = create_async_engine(url, pool_size=2, max_overflow=0)
        observed.obs.watch_pool("main", engine)
        async with engine.connect() as connection:
            assert await connection.scalar(sqlalchemy.text("select 1")) == 1
            assert sizes(observed) == (1, 0)
        assert sizes(observed) == (0, 1)
        await engine.dispose()

    asyncio.run(run())
    assert observed.value("database_pool_wait_seconds_count", pool="main") >= 1


def test_what_is_no_pool_is_refused_by_name(observed):
    """The message says which kinds are known."""
    with pytest.raises(TypeError, match="asyncpg pools and SQLAlchemy engines, not object"):
        observed.obs.watch_pool("main", object())


def test_a_pool_without_a_limit_shows_none(observed):
    """A ratio over a limit that is not there would be a false alarm."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=-1)
    observed.obs.watch_pool("main", engine)
    with engine.connect(), engine.connect():
        assert sizes(observed) == (2, 0)
    assert observed.value("database_pool_size_max", pool="main") is None
    engine.dispose()

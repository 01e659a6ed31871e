"""The demo's Postgres: a pool that survives the server's absence and says so with one error."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from examples.settings import place

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_log = logging.getLogger("examples.database")
_CONNECT_SECONDS = 2.0  # a healthy local server takes milliseconds
_COMMAND_SECONDS = 5.0  # no statement of the demo takes a tenth of that
# What asyncpg raises when the server refuses, leaves, restarts, hangs or has no connection left.
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class DatabaseAwayError(Exception):
    """Postgres does not answer; the next request may find it back."""


async def open_pool(url: str, wait_seconds: float = 30.0) -> Pool:
    """Return a pool on `url`, waiting for a server that is still starting.

    Raises DatabaseAwayError when it does not answer within `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return await asyncpg.create_pool(
                url,
                min_size=2,
                max_size=10,
                timeout=_CONNECT_SECONDS,
                command_timeout=_COMMAND_SECONDS,
            )
        except _AWAY as error:
            reason = f"Postgres at {place(url)} does not answer: {str(error) or type(error).__name__}"
            if time.monotonic() >= deadline:
                raise DatabaseAwayError(
                    f"{reason}. Start it, or set DATABASE_URL to the right one."
                ) from None
            _log.warning("%s; waiting", reason)
            await asyncio.sleep(0.5)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection from the pool. Raises DatabaseAwayError when Postgres does not answer."""
    try:
        async with pool.acquire(timeout=_CONNECT_SECONDS) as lent:
            yield lent
    except _AWAY as error:
        raise DatabaseAwayError(str(error) or type(error).__name__) from error

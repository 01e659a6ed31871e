"""The one connection to a server that is not Postgres, and the one reading that is under way on it."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")

# A reading that hangs for so long is given up with its connection, which the server may hold on to then.
LONGEST_SECONDS = 600.0
# Seconds without any sign from the other side: then the kernel takes the connection for broken.
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
KEEPALIVE_OPTIONS = {
    getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)
}


class Line(Generic[C]):
    """Holds the connection that `connect` makes; `close` must not wait for the server."""

    def __init__(self, connect: Callable[[], Awaitable[C]], close: Callable[[C], Awaitable[None]]) -> None:
        self._connect = connect
        self._close = close
        self._connection: C | None = None
        self._reading: asyncio.Task[Any] | None = None

    async def read(self, ask: Callable[[C], Awaitable[T]]) -> T:
        """Return what `ask` gets over the connection.

        Whoever gives up waiting leaves the reading to the next one: a server that hangs sees one connection,
        however often it is asked, and one that wakes up has answered by then. After a failure the connection
        is closed; one that had gone since the last reading, as a restart leaves it, is no failure.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(ask))
            self._reading.add_done_callback(_looked_at)
        answer: T = await asyncio.shield(self._reading)
        return answer

    async def close(self) -> None:
        """End the reading and the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._drop()

    async def _read(self, ask: Callable[[C], Awaitable[T]]) -> T:
        async with asyncio.timeout(LONGEST_SECONDS):
            if self._connection is not None:
                with contextlib.suppress(Exception):
                    return await self._answer(ask)
            return await self._answer(ask)

    async def _answer(self, ask: Callable[[C], Awaitable[T]]) -> T:
        try:
            if self._connection is None:
                self._connection = await self._connect()
            return await ask(self._connection)
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._close(connection)


def _looked_at(reading: "asyncio.Task[Any]") -> None:
    """An error that nobody waited for was seen, or will be by the next reading."""
    if not reading.cancelled():
        reading.exception()

"""The connections to one Postgres server: never more than a number, lent one by one, and kept."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# A server that hangs may hold on to what we gave up, and will for as long as it hangs: so long it counts.
# When the network has lost the server, the kernel finds out (see `watched`); this is for what it cannot see.
_GIVEN_UP_SECONDS = 600.0
# Seconds without any sign from the other side: then the kernel takes the connection for broken.
_KERNEL = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


class RefusedError(ConnectionError):
    """The server refused somebody while this one waited for the same; the cause says why."""


@dataclass(eq=False)
class _Kept:
    like: Hashable
    connection: Connection


@dataclass(eq=False)
class _Waiting:
    like: Hashable
    future: "asyncio.Future[None]" = field(repr=False)


class Connections:
    """At most `limit` connections are open, being opened, or given up and not yet closed by the server.

    Those who are patient come after all others, and leave them one connection where there are several.
    """

    def __init__(self) -> None:
        self.limit = 0
        self._taken = {False: 0, True: 0}  # by patience
        self._waiting: dict[bool, deque[_Waiting]] = {False: deque(), True: deque()}
        self._idle: list[_Kept] = []  # the one used last stands last
        self._ending: dict[asyncio.Task[None], Connection] = {}
        self._closed = False

    def allow(self, limit: int) -> None:
        """Let so many be open, unless somebody has asked for more."""
        self.limit = max(self.limit, limit)
        self._grant()

    @contextlib.asynccontextmanager
    async def lent(
        self, like: Hashable, connect: Callable[[], Awaitable[Connection]], *, patient: bool = False
    ) -> AsyncIterator[Connection]:
        """Wait for a turn, and lend a connection: a kept one where one is `like` it, or what `connect` makes.

        It is kept afterwards, also when the server refused a statement; when it was left in the middle of
        one, or has lost the server, it is given up, and its place is free when the server has closed it.
        """
        await self._turn(like, patient)
        occupied: asyncio.Task[None] | None = None
        connection: Connection | None = None
        sound = False
        try:
            connection = self._kept(like)
            if connection is None:
                if occupied := self._room():
                    await asyncio.shield(occupied)
                connection = await self._opened(like, connect)
            yield connection
            sound = True
        except Exception as error:
            sound = not isinstance(error, OSError | asyncpg.InterfaceError)  # TimeoutError is an OSError
            raise
        finally:
            if connection is not None:
                if self._closed:
                    connection.terminate()
                elif sound and not connection.is_closed() and not connection.is_in_transaction():
                    self._idle.append(_Kept(like, connection))
                else:
                    occupied = self._end(connection)
            if occupied is None or occupied.done():
                self._release(patient)
            else:
                occupied.add_done_callback(lambda _: self._release(patient))

    async def close(self) -> None:
        """Cut all connections at once: a farewell would wait for a server that may hang."""
        self._closed = True
        ending, self._ending = self._ending, {}
        for task in ending:
            task.cancel()
        # Not left to the tasks: one that had not begun never will.
        for connection in (*ending.values(), *(kept.connection for kept in self._idle)):
            connection.terminate()
        self._idle.clear()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _turn(self, like: Hashable, patient: bool) -> None:
        me = _Waiting(like, asyncio.get_running_loop().create_future())
        self._waiting[patient].append(me)
        self._grant()
        try:
            await me.future
        except asyncio.CancelledError:
            if me in self._waiting[patient]:
                self._waiting[patient].remove(me)
            elif not me.future.cancelled() and me.future.exception() is None:  # it came as we left
                self._release(patient)
            raise

    def _grant(self) -> None:
        for patient, waiting in self._waiting.items():
            while waiting and self._has_room_for(patient):
                me = waiting.popleft()
                if not me.future.done():
                    self._taken[patient] += 1
                    me.future.set_result(None)

    def _has_room_for(self, patient: bool) -> bool:
        if sum(self._taken.values()) >= self.limit:
            return False
        return not patient or self._taken[True] < max(1, self.limit - 1)

    def _release(self, patient: bool) -> None:
        self._taken[patient] -= 1
        self._grant()

    def _kept(self, like: Hashable) -> Connection | None:
        self._idle = [kept for kept in self._idle if not kept.connection.is_closed()]
        for kept in reversed(self._idle):
            if kept.like == like:
                self._idle.remove(kept)
                return kept.connection
        return None

    def _room(self) -> "asyncio.Task[None] | None":
        """Close the connection that has been idle longest when there is none left to open."""
        if len(self._idle) + sum(self._taken.values()) <= self.limit:
            return None
        return self._end(self._idle.pop(0).connection)

    async def _opened(self, like: Hashable, connect: Callable[[], Awaitable[Connection]]) -> Connection:
        try:
            return watched(await connect())
        except Exception as error:
            if not isinstance(error, TimeoutError):
                self._refuse(like, error)
            raise

    def _refuse(self, like: Hashable, error: Exception) -> None:
        """Spare the server the logins of those who wait now: a wrong password is wrong for all."""
        for patient, waiting in self._waiting.items():
            self._waiting[patient] = deque(me for me in waiting if me.like != like)
            for me in waiting:
                if me.like == like and not me.future.done():
                    refused = RefusedError("another one was refused")
                    refused.__cause__ = error
                    me.future.set_exception(refused)

    def _end(self, connection: Connection) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(_given_up(connection))
        self._ending[task] = connection
        task.add_done_callback(lambda task: self._ending.pop(task, None))
        return task


async def _given_up(connection: Connection) -> None:
    """Stop the statement that runs, if any, and return when the server has closed the connection."""
    try:
        with contextlib.suppress(Exception):
            await connection.close(timeout=_GIVEN_UP_SECONDS)
    finally:
        connection.terminate()


def watched(connection: Connection) -> Connection:
    """Let the kernel find out when the other side has gone without a word; return the connection."""
    transport = getattr(connection, "_transport", None)  # the driver has no public way to it
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KERNEL.items():
            if hasattr(socket, name):  # Linux has all of them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection

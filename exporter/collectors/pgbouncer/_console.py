"""How PgBouncer's console is asked: the simple protocol, which asyncpg does not speak, and no wait in it."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from exporter.collectors._line import KEEPALIVE, LONGEST_SECONDS
from exporter.collectors._lookup import looked_up
from exporter.collectors._postgres import hosts_of

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    Console = AsyncConnection[DictRow]

# Between two looks whether a wait is still wanted; an answer or a lost connection is noticed at once.
_LOOK_SECONDS = 1.0
# The console's own database.
DATABASE = "pgbouncer"


async def connected(address: str) -> "Console":
    """Log in to the console."""
    from psycopg.rows import dict_row

    await asyncio.gather(*(looked_up(host) for host, _ in hosts_of(address)))
    return await _driver().connect(
        address,
        dbname=DATABASE,
        application_name="watchkeeper",
        autocommit=True,  # the console knows no BEGIN
        prepare_threshold=None,
        row_factory=dict_row,
        connect_timeout=int(LONGEST_SECONDS),  # the scrape limits each run
        keepalives_idle=KEEPALIVE["TCP_KEEPIDLE"],
        keepalives_interval=KEEPALIVE["TCP_KEEPINTVL"],
        keepalives_count=KEEPALIVE["TCP_KEEPCNT"],
        tcp_user_timeout=KEEPALIVE["TCP_USER_TIMEOUT"],
    )


async def closed(console: "Console") -> None:
    """Hang up without waiting for the server."""
    await console.close()


async def show(console: "Console", command: str) -> "list[DictRow]":
    """Return the table that a SHOW command gives."""
    cursor = await console.execute(command.encode())
    return await cursor.fetchall()


@cache
def _driver() -> "type[Console]":
    """Imported when first needed: the driver takes 10 MB, which nobody without a PgBouncer shall pay."""
    from psycopg import AsyncConnection
    from psycopg.waiting import wait_async

    class Patient(AsyncConnection[Any]):
        """A wait that is given up ends at once. The driver's own would open a second connection to cancel
        the query, and wait for both up to ten seconds: for ever too long when the server hangs."""

        async def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
            return await wait_async(gen, self.pgconn.socket, interval=_LOOK_SECONDS)

    return Patient

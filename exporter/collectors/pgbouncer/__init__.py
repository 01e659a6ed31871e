"""A PgBouncer, named as pgbouncer_exporter names it: pools, waiting clients, what passed through."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep
from exporter.collectors._line import Line
from exporter.collectors._postgres import AddressSettings
from exporter.collectors.pgbouncer._console import DATABASE, closed, connected, show
from exporter.collectors.pgbouncer._tables import TABLES

if TYPE_CHECKING:
    from psycopg.rows import DictRow

    from exporter.collectors.pgbouncer._console import Console

UP = Metric(
    "pgbouncer_up",
    "gauge",
    "Whether PgBouncer could be reached and let us in to its console: 1 or 0.",
    origin="pgbouncer_exporter",
)


class Settings(AddressSettings):
    """Which PgBouncer, and how to log in; the user needs to stand in its stats_users only."""

    dsn: SecretStr | None = Field(
        default=None, description="Address, as postgresql://user:password@host:6432/pgbouncer."
    )

    @model_validator(mode="after")
    def _of_the_console(self) -> Self:
        if self.dsn is not None:
            _console_of(self.dsn.get_secret_value())
        return self

    def address(self) -> str:
        """Return the console's address. A file is read each time, so a changed password is found."""
        return _console_of(super().address())


async def collect(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
    """Read each table of the console, over one connection that is kept."""

    async def connect() -> "Console":
        return await connected(settings.address())

    line = keep.shared("pgbouncer", lambda: Line(connect, closed), Line.close)
    tables = await line.read(_shown)
    for command, read in TABLES.items():
        for sample in read(tables[command]):
            yield sample


async def _shown(console: "Console") -> "dict[str, list[DictRow]]":
    return {command: await show(console, command) for command in TABLES}


def _console_of(address: str) -> str:
    if urlsplit(address).path not in ("", "/", f"/{DATABASE}"):
        raise ValueError(f"the database in the address of a PgBouncer's console is {DATABASE}, or left out")
    return address

"""A Postgres server and one of its databases, under postgres_exporter's names; needs the role pg_monitor."""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from functools import cache
from typing import Protocol, cast

from pydantic import Field

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep
from exporter.collectors._postgres import PostgresSettings, connected, server_of
from exporter.collectors.postgres._session import Session

UP = Metric(
    "pg_up",
    "gauge",
    "Whether Postgres could be reached and let us in: 1 or 0.",
    origin="postgres_exporter",
)


class Settings(PostgresSettings):
    """The database, and how many series may come of it."""

    tables: int = Field(default=500, ge=0, le=10_000, description="Largest tables to show one by one.")
    application_names: int = Field(
        default=20, ge=0, le=1000, description="Clients' names to show one by one; the rest is `other`."
    )


class Topic(Protocol):
    """The shape of a file in this folder: what it reads with the connection of one run."""

    def read(self, session: Session) -> AsyncIterator[Sample]: ...


@cache
def topics() -> list[Topic]:
    """Import every topic in this folder; a name starting with an underscore is not one."""
    return [
        cast(Topic, importlib.import_module(f"{__name__}.{info.name}"))
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    ]


async def collect(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
    """Read all topics over one connection, one after the other."""
    connection = await connected(settings, keep)
    session = Session(
        connection=connection,
        server=server_of(settings.address()),
        version=connection.get_server_version().major,
        tables=settings.tables,
        application_names=settings.application_names,
    )
    for topic in topics():
        async for sample in topic.read(session):
            yield sample

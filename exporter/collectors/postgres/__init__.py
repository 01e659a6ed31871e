"""A Postgres server and its databases, under postgres_exporter's names; needs the role pg_monitor."""

import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator, Iterator
from functools import cache
from types import ModuleType
from typing import Annotated, Any

import asyncpg
from pydantic import BeforeValidator, Field, field_validator

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep, Part
from exporter.collectors._postgres import PostgresSettings, leased, server_of
from exporter.collectors._reasons import advice, reason
from exporter.collectors.postgres._session import Session

UP = Metric(
    "pg_up",
    "gauge",
    "Whether Postgres could be reached and let us in: 1 or 0.",
    origin="postgres_exporter",
)
READ_SUCCESS = Metric(
    "database_read_success",
    "gauge",
    "With `databases: all`: whether the topic could be read in this database, 1 or 0; the log says why not.",
    ("database", "topic"),
)

ALL = "all"

_DATABASES = """
select datname from pg_database
where datallowconn and not datistemplate and has_database_privilege(oid, 'connect')
order by datname
"""

_log = logging.getLogger("watchkeeper.postgres")


def _listed(value: Any) -> Any:
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Settings(PostgresSettings):
    """The server, which of its databases, how often what is slow is read, and how many series come of it."""

    databases: Names = Field(
        default=(),
        description="Databases whose tables and indexes are read, or `all`; none: the one of the address.",
    )
    without: Names = Field(default=(), description="Topics to leave out, such as `statements`.")
    slow_interval: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        description="Seconds between readings of what is slow, in the background; 0: at each scrape.",
    )
    slow_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds that one such reading may take."
    )
    tables: int = Field(
        default=500,
        ge=0,
        le=10_000,
        description="Largest tables and indexes of a database to show one by one.",
    )
    statements: int = Field(
        default=50, ge=0, le=1000, description="Statements to show one by one; the rest is `other`."
    )
    application_names: int = Field(
        default=20, ge=0, le=1000, description="Clients' names to show one by one; the rest is `other`."
    )

    @field_validator("databases", "without")
    @classmethod
    def _no_name_is_empty(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(names) or len(set(names)) < len(names):
            raise ValueError("a name is empty or stands twice")
        return names

    @field_validator("databases")
    @classmethod
    def _all_stands_alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if ALL in names and len(names) > 1:
            raise ValueError("give either names, or `all`")
        return names

    @field_validator("without")
    @classmethod
    def _topics_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(names) - set(topics()):
            raise ValueError(f"no topic is called {min(unknown)!r}; there are {', '.join(topics())}")
        return names


@cache
def topics() -> dict[str, ModuleType]:
    """Import every topic in this folder; a name starting with an underscore is not one.

    A topic has `async def read(session)`, which yields samples. With `SLOW = True` it is read in the
    background, and with `EACH_DATABASE = True` in each database that the settings name.
    """
    return {
        info.name: importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    }


def parts(settings: Settings) -> Iterator[Part]:
    """Yield a part for each topic, and for each database that is named where the topic is read in it."""
    for name, topic in topics().items():
        if name in settings.without:
            continue
        slow = getattr(topic, "SLOW", False)
        limits = (settings.slow_timeout, settings.slow_interval) if slow else (None, None)
        if not getattr(topic, "EACH_DATABASE", False) or not settings.databases:
            yield Part(name, _Reading(name, topic).collect, *limits)
        elif settings.databases == (ALL,):
            yield Part(name, _Reading(name, topic).collect_all, *limits)
        else:
            for database in settings.databases:
                yield Part(f"{name}.{database}", _Reading(name, topic, database).collect, *limits)


class _Reading:
    """A topic in one database, or in all."""

    def __init__(self, name: str, topic: ModuleType, database: str | None = None) -> None:
        self._name, self._topic, self._database = name, topic, database
        self._slow: bool = getattr(topic, "SLOW", False)

    def collect(self, settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
        """Yield the samples of the one database."""
        return self._read(settings, keep, self._database)

    async def collect_all(self, settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
        """Yield the samples of all databases that let us in, one after the other. Raises when none does."""
        async with leased(settings, keep, patient=self._slow) as connection:
            names = [row["datname"] for row in await connection.fetch(_DATABASES)]
        told: dict[str, str] = keep.remember("told", dict)
        failures: list[Exception] = []
        for database in names:
            try:
                samples = [sample async for sample in self._read(settings, keep, database)]
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                failures.append(error)
                samples = []
                if told.get(database) != (why := reason(error)):  # said once, not at every reading
                    _log.warning(
                        "postgres.%s of %s failed (%s): %s", self._name, database, why, advice(error)
                    )
                told[database] = why
            else:
                told.pop(database, None)
            if len(failures) == len(names):
                raise failures[-1]
            for sample in samples:
                yield sample
            yield READ_SUCCESS.sample(database not in told, database=database, topic=self._name)

    async def _read(self, settings: Settings, keep: Keep, database: str | None) -> AsyncIterator[Sample]:
        seconds = settings.slow_timeout if self._slow else settings.timeout
        async with leased(
            settings, keep, database=database, seconds=seconds, patient=self._slow
        ) as connection:
            session = Session(
                connection=connection,
                keep=keep,
                server=server_of(settings.address()),
                version=connection.get_server_version().major,
                tables=settings.tables,
                statements=settings.statements,
                application_names=settings.application_names,
            )
            async for sample in self._topic.read(session):
                yield sample

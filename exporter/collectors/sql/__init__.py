"""Figures that SQL can tell: the business metrics shipped in business.yml, or those of a file of your own."""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import asyncpg
from pydantic import Field, model_validator

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep
from exporter.collectors._postgres import Connection, PostgresSettings, connected
from exporter.collectors.sql._file import SqlMetric, load, places

_SHIPPED = Path(__file__).with_name("business.yml")


class Settings(PostgresSettings):
    """The database, the file, and the limits of its queries. The role needs SELECT on what they read."""

    file: Literal["business"] | Path = Field(
        default="business",
        description="A file of metrics, relative to the settings file, or `business`: the shipped ones.",
    )
    query_interval: float = Field(
        default=30.0,
        ge=0,
        le=86400,
        description="Seconds between two runs of a query without its own interval.",
    )
    rows: int = Field(
        default=200, ge=1, le=10_000, description="Rows that a query may return, each a series."
    )

    @model_validator(mode="after")
    def _file_is_right(self) -> Self:
        load(self.path)
        return self

    @property
    def path(self) -> Path:
        return _SHIPPED if self.file == "business" else Path(self.file)


class QueryError(Exception):
    """A query failed or returned what cannot be a metric; the message names the metric."""


class _Result(NamedTuple):
    time: float
    samples: list[Sample]


Entries = list[tuple[SqlMetric, Metric]]


def _entries(path: Path) -> Entries:
    return [(entry, entry.declaration()) for entry in load(path)]


@cache
def _shipped() -> Entries:
    """Return the shipped metrics; once, because a metric is declared once."""
    return _entries(_SHIPPED)


def declared_metrics() -> Iterable[Metric]:
    """Yield the shipped metrics; those of a user's file are known only with the configuration."""
    return (metric for _, metric in _shipped())


def chosen_names(settings: Settings) -> dict[str, str]:
    """Return file and line of each metric that the user's own file names."""
    return {} if settings.file == "business" else places(settings.path)


async def collect(
    settings: Settings, keep: Keep, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Sample]:
    """Run the queries that are due, one after the other; the others give what they gave last."""
    results: dict[str, _Result] = keep.remember("results", dict)
    entries = _shipped if settings.file == "business" else partial(_entries, settings.path)
    for entry, metric in keep.remember("entries", entries):
        interval = settings.query_interval if entry.interval is None else entry.interval
        last = results.get(metric.name)
        if last is None or clock() - last.time >= interval:
            connection = await connected(settings, keep)
            samples = await _read(connection, entry, metric, settings)
            last = results[metric.name] = _Result(clock(), samples)
        for sample in last.samples:
            yield sample


async def _read(connection: Connection, entry: SqlMetric, metric: Metric, settings: Settings) -> list[Sample]:
    timeout = entry.timeout or settings.timeout
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"set local statement_timeout = {math.ceil(timeout * 1000)}")
            cursor = await connection.cursor(entry.query)
            rows = await cursor.fetch(settings.rows + 1)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise QueryError(f"metric {metric.name}: {error}") from error
    if len(rows) > settings.rows:
        raise QueryError(f"metric {metric.name}: the query returns more than {settings.rows} rows")
    return parse(rows, entry, metric)


def parse(rows: Iterable[Any], entry: SqlMetric, metric: Metric) -> list[Sample]:
    """Return a sample for each row whose number is not NULL."""
    samples = []
    for row in rows:
        missing = [column for column in (*metric.labels, entry.value) if column not in row.keys()]  # noqa: SIM118
        if missing:
            raise QueryError(f"metric {metric.name}: the query returns no column {missing[0]!r}")
        value = row[entry.value]
        if value is None:
            continue
        if not isinstance(value, int | float | Decimal):
            raise QueryError(f"metric {metric.name}: the column {entry.value!r} holds no number")
        labels = {label: "" if row[label] is None else str(row[label]) for label in metric.labels}
        samples.append(metric.sample(float(value), **labels))
    if len({sample.labels for sample in samples}) < len(samples):
        raise QueryError(f"metric {metric.name}: the query returns two rows with the same labels")
    return samples

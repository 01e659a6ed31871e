"""Figures that SQL can tell: the metrics shipped in this folder, and those of files of your own."""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from exporter.catalog import Metric, Sample
from exporter.collectors import Collect, Keep, Part
from exporter.collectors._postgres import PostgresSettings
from exporter.collectors.sql._file import Query, load
from exporter.collectors.sql._query import Limits, Result, read
from exporter.collectors.sql._rows import QueryError
from exporter.collectors.sql._seen import Seen

__all__ = [
    "SHIPPED",
    "Limits",
    "Query",
    "QueryError",
    "Result",
    "Seen",
    "Settings",
    "chosen_names",
    "declared_metrics",
    "parts",
    "read",
]

Shipped = Literal["business", "accounts", "flags"]
SHIPPED: tuple[Shipped, ...] = get_args(Shipped)


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


class Settings(PostgresSettings):
    """The database, the files, and the limits of their queries. The role needs SELECT on what they read."""

    file: Annotated[tuple[Shipped | Path, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        default=("business",),
        description="A file of metrics, relative to the settings file, or a list; a path may have * and ?. "
        "`business`, `accounts` and `flags` are the shipped ones.",
    )
    interval: float = Field(
        default=30.0,
        ge=0,
        le=86400,
        description="Seconds between two runs of a query without its own interval; 0 reads at each scrape.",
    )
    rows: int = Field(default=200, ge=1, le=10_000, description="Rows that a query may return.")
    series: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Series that a query may give within a day, vanished ones included.",
    )

    _queries: tuple[Query, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _files_are_right(self) -> Self:
        # Read once: what was found right here is what runs.
        self._queries = load(_path(file) for file in self.file)
        return self

    @property
    def queries(self) -> Sequence[Query]:
        """The queries of all files."""
        own = {_path(file): file for file in SHIPPED}
        return [
            _shipped(own[query.path])[query.name] if query.path in own else query for query in self._queries
        ]

    def interval_of(self, query: Query) -> float:
        """Return the seconds between two runs of the query; 0: it runs at each scrape."""
        return self.interval if query.interval is None else query.interval

    def limits(self, query: Query) -> Limits:
        """Return what a run of the query may take."""
        return Limits(query.timeout or self.timeout, query.rows or self.rows)


def _path(file: Shipped | Path) -> Path:
    return Path(__file__).with_name(f"{file}.yml") if file in SHIPPED else Path(file)


@cache
def _shipped(file: Shipped) -> dict[str, Query]:
    """Return the queries of a shipped file; once, because a metric is declared once."""
    return {query.name: query for query in load([_path(file)])}


def declared_metrics() -> Iterable[Metric]:
    """Yield the shipped metrics; those of a user's file are known only with the configuration."""
    for file in SHIPPED:
        for query in _shipped(file).values():
            yield from (metric for _, metric in query.metrics)


def chosen_names(settings: Settings) -> dict[str, str]:
    """Return file and line of each metric that the user's own files name."""
    own = [query for query in settings.queries if query.path not in map(_path, SHIPPED)]
    return {name: place for query in own for name, place in query.metric_places()}


def parts(settings: Settings) -> Iterable[Part]:
    """Yield a part for each query, called as the metric or the query."""
    queries = settings.queries
    together = sum(settings.limits(query).seconds for query in queries)
    for query in queries:
        interval = settings.interval_of(query)
        # They take turns: in the worst case each of the others uses up its time first. But whoever waits for
        # longer than its values may be shown has failed.
        turns = min(together, 2 * interval) if interval else together
        longest = settings.timeout + turns + settings.limits(query).seconds
        yield Part(query.name, _collector(query), timeout=longest, interval=interval)


def _collector(query: Query) -> Collect:
    async def collect(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
        background = settings.interval_of(query) > 0
        seen = keep.remember(f"seen by {query.name}", Seen)
        result = await read(settings, keep, query, settings.limits(query), patient=background)
        seen.check(result.samples, query, query.series or settings.series)
        for sample in result.samples:
            yield sample

    return collect

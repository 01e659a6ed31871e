"""`watchkeeper sql check`: each query of a file run once, with its rows, series, cost and time."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from exporter.collectors import Keep, Shared, sql
from exporter.collectors._postgres import leased, server_of
from exporter.collectors._reasons import advice, reason
from exporter.collectors.sql import Query, QueryError, Result, Seen, read
from exporter.config import ConfigError, load, taken

OK, FAILED = 0, 1

_HEAD = ("METRIC", "ROWS", "SERIES", "COST", "SECONDS", "RESULT")


@dataclass(frozen=True)
class Check:
    """How a query went: with a result, or with an error."""

    query: Query
    seconds: float
    limit: float
    result: Result | None = None
    error: Exception | None = None

    def says(self) -> str:
        """Return the verdict, for a failed one with file and line."""
        if self.error is not None:
            text = self.error.text if isinstance(self.error, QueryError) else advice(self.error)
            return f"{reason(self.error)}: {self.query.place}: {text}"
        if self.seconds > self.limit / 2:
            return f"ok, but it took more than half of its {self.limit:g} s"
        return "ok"


def main(
    files: Sequence[Path], *, dsn_file: Path | None = None, config: Path | None = None
) -> tuple[int, str]:
    """Check the files, or those of the settings; return the exit code of the command, and what it prints.

    The address comes from `dsn_file`, or else from the collector `sql` of the settings. Raises ConfigError
    for files that are faulty in themselves.
    """
    settings = chosen(files, dsn_file=dsn_file, config=config)
    try:
        checks = asyncio.run(check(settings))
    except _UnreachableError as error:
        return FAILED, f"watchkeeper: {error}"
    return FAILED if any(each.error for each in checks) else OK, "\n".join(table(checks))


def chosen(files: Sequence[Path], *, dsn_file: Path | None, config: Path | None) -> sql.Settings:
    """Return the settings that the queries run with."""
    given = {"file": tuple(str(file) for file in files)} if files else {}
    try:
        if dsn_file is not None:
            settings = sql.Settings.model_validate({"dsn_file": dsn_file, **given})
        else:
            configured = load(config).collectors.get("sql")
            if configured is None:
                raise ConfigError("no database to ask: name --dsn-file, or set collectors.sql.dsn_file")
            # As it was given, so that all is checked anew.
            values = {key: getattr(configured, key) for key in configured.model_fields_set}
            settings = sql.Settings.model_validate(values | given)
    except ValidationError as error:
        told = [each["msg"].removeprefix("Value error, ") for each in error.errors(include_input=False)]
        raise ConfigError(*(line for text in told for line in text.splitlines())) from None
    if problems := list(taken({"sql": settings})):
        raise ConfigError(*problems)
    return settings


async def check(settings: sql.Settings) -> list[Check]:
    """Run each query once, one after the other."""
    shared = Shared()
    keep = Keep(shared)
    try:
        await _reach(settings, keep)
        return [await _check(settings, keep, query) for query in settings.queries]
    finally:
        await keep.drop()
        await shared.close()


class _UnreachableError(Exception):
    """The server did not let us in; the message holds no secret."""


async def _reach(settings: sql.Settings, keep: Keep) -> None:
    """Log in, so that a server that is away is told once and not for each query."""
    try:
        server = server_of(settings.address())
    except OSError as error:
        raise _UnreachableError(f"{settings.dsn_file}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # our own words, which do not quote the address
        raise _UnreachableError(str(error)) from None
    try:
        async with asyncio.timeout(settings.timeout), leased(settings, keep):
            pass
    except Exception as error:
        raise _UnreachableError(f"Postgres at {server}: {reason(error)}: {advice(error)}") from None


async def _check(settings: sql.Settings, keep: Keep, query: Query) -> Check:
    limits = settings.limits(query)
    started = time.monotonic()
    try:
        result = await read(settings, keep, query, limits, patient=False, explain=True)
        Seen().check(result.samples, query, query.series or settings.series)
    except Exception as error:
        return Check(query, time.monotonic() - started, limits.seconds, error=error)
    return Check(query, time.monotonic() - started, limits.seconds, result)


def table(checks: Sequence[Check]) -> Iterator[str]:
    """Yield the lines of the table, one for each metric. What belongs to a query stands in its first one."""
    rows = [_HEAD, *(row for each in checks for row in _rows(each))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for name, *numbers, says in rows:
        cells = [name.ljust(widths[0])]
        cells += [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        yield f"{'  '.join(cells)}  {says}".rstrip()


def _rows(check: Check) -> Iterator[tuple[str, ...]]:
    first = check.query.metrics[0][1].name
    for _, metric in check.query.metrics:
        rows = series = cost = seconds = ""
        says = f"with {first}"
        if check.result is not None:
            series = str(sum(sample.metric is metric for sample in check.result.samples))
        if metric.name == first:
            says = check.says()
            seconds = f"{check.seconds:.3f}"
            if check.result is not None:
                rows, cost = str(check.result.rows), f"{check.result.cost or 0:.0f}"
        yield metric.name, rows, series, cost, seconds, says

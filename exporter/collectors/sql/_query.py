"""One run of a query: in a read-only transaction, within its time, and what the server says against it."""

import asyncio
import json
from typing import NamedTuple

import asyncpg

from exporter.catalog import Sample
from exporter.collectors import Keep
from exporter.collectors._postgres import Connection, PostgresSettings, leased
from exporter.collectors.sql._file import Query
from exporter.collectors.sql._rows import QueryError, at, check_columns, head, parse

# The server ends a slow statement, and its connection stays good. This is for one that does not answer.
_GRACE_SECONDS = 1.0

# What Postgres says with these speaks of names and of statements. Other texts could quote what is in a row.
_PLAIN = ("42", "25", "0A", "55P03", "57014")
_OWN_WORDS = {
    "22012": "division by zero: write nullif(divisor, 0), which leaves the row out",
    "22003": "a number is out of range",
}


class Result(NamedTuple):
    """What a run gave; `cost` is the planner's, in its own unit, where it was asked for."""

    rows: int
    samples: list[Sample]
    cost: float | None = None


class Limits(NamedTuple):
    """What a run may take: seconds from the moment that it has a connection, and rows."""

    seconds: float
    rows: int


async def read(
    settings: PostgresSettings,
    keep: Keep,
    query: Query,
    limits: Limits,
    *,
    patient: bool,
    explain: bool = False,
) -> Result:
    """Run a query once. Raises QueryError, or whatever kept it from the server."""
    try:
        async with leased(settings, keep, seconds=limits.seconds, patient=patient) as connection:
            async with asyncio.timeout(limits.seconds + _GRACE_SECONDS):
                rows, cost = await _rows(connection, query, limits, explain=explain)
    except TimeoutError as error:
        # Said out here: the lender gives up a connection whose statement may still be under way.
        raise at(query, f"no answer within {limits.seconds:g} s") from error
    if len(rows) > limits.rows:
        raise at(query, f"more than {limits.rows} rows; each is a series, so count in the query")
    return Result(len(rows), parse(rows, query), cost)


async def _rows(
    connection: Connection, query: Query, limits: Limits, *, explain: bool
) -> tuple[list[asyncpg.Record], float | None]:
    statement = f"{head(query)}{query.text}\n) as query limit {limits.rows + 1}"
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    try:
        # Prepared anew each time, outside the cache: when a table changes, a kept plan is an error.
        prepared = await connection.prepare(statement)
        check_columns(prepared, query)
        cost = None
        if explain:
            plan = json.loads(await connection.fetchval(f"explain (format json) {statement}"))
            cost = float(plan[0]["Plan"]["Total Cost"])
        rows = await prepared.fetch()
    except QueryError:
        await transaction.rollback()
        raise
    except asyncpg.PostgresError as error:
        if not connection.is_closed():
            await transaction.rollback()
        text = _told(error, query)
        # With a cause of these kinds `advice` would leave our text out, which quotes nothing.
        raise at(query, text) from (None if _state(error)[:2] in ("22", "25", "0A") else error)
    # Never a commit: what a query has set, such as a role, is not there for the next one.
    await transaction.rollback()
    return rows, cost


def _told(error: asyncpg.PostgresError, query: Query) -> str:
    """Return what the server said, without anything that stood in a row."""
    state, said = _state(error), str(error)
    inside = int(getattr(error, "position", None) or 0) - len(head(query))
    if state == "42703" and inside <= 0:
        return f"the query returns no column {said.split(chr(34))[1]!r}"
    if state == "42601" and ("multiple commands" in said or '";"' in said):
        return "it must be one query, without another behind a semicolon"
    if state == "42501":
        return f"{said}; GRANT SELECT on it to the exporter's role"
    if not state.startswith(_PLAIN):
        return _OWN_WORDS.get(state, f"the server's log tells more (SQLSTATE {state or 'none'})")
    return f"{said}, in line {query.text.count(chr(10), 0, inside) + 1} of it" if inside > 0 else said


def _state(error: asyncpg.PostgresError) -> str:
    return str(getattr(error, "sqlstate", None) or "")

"""What a query returns: which columns are asked for, and the checks between its rows and the page."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from exporter.catalog import Sample
from exporter.collectors.sql._file import Query, SqlMetric

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    Prepared = PreparedStatement[asyncpg.Record]

LABEL_LENGTH = 200  # characters; what is longer is a text, not a label

_NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
_HINTS = {
    "bool": "true or false, not a number: count rows, or write column::int",
    "date": "a date, not a number: write extract(epoch from column)",
    "timestamp": "a time, not a number: write extract(epoch from column)",
    "timestamptz": "a time, not a number: write extract(epoch from column)",
    "interval": "a span of time, not a number: write extract(epoch from column)",
    "money": "money, which the server writes as text: write column::numeric",
    "varchar": "text, not a number",
    "void": "nothing, and no number",
}


class QueryError(Exception):
    """A query failed or returned what cannot be a metric; the message names it, file and line.

    `text` is what is wrong, without the place. Neither quotes anything that stood in a row.
    """

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text or message


def at(query: Query, text: str) -> QueryError:
    """Return the error of a query: `metric business_users (own.yml, line 3): what is wrong`."""
    return QueryError(f"{query.kind} {query.name} ({query.path}, line {query.line}): {text}", text)


def head(query: Query) -> str:
    """Return what stands before the query: only the wanted columns, and no more of a label than is needed.

    The columns stand without a table's name: with one, Postgres would take a missing column for a function.
    """
    wanted = [f'left("{label}"::text, {LABEL_LENGTH + 1})' for label in _labels(query)]
    wanted += ['"{}"'.format(column.replace('"', '""')) for column in _numbers(query)]
    return f"select {', '.join(wanted)} from (\n"  # noqa: S608 - names that the file's check let through


def check_columns(prepared: "Prepared", query: Query) -> None:
    """Raise QueryError for a column that holds no numbers, also where the table is still empty."""
    if prepared.get_parameters():
        raise at(query, "a parameter such as $1 stands in the query, and nothing is passed to it")
    numbers = _numbers(query)
    for column, attribute in zip(numbers, prepared.get_attributes()[-len(numbers) :], strict=True):
        if (kind := attribute.type.name) not in _NUMBERS:
            raise at(query, f"the column {column!r} holds {_HINTS.get(kind, f'{kind}, not a number')}")


def parse(rows: Sequence[Any], query: Query) -> list[Sample]:
    """Return the samples of rows that have first the labels, then the numbers. NULL is no sample."""
    labels, numbers = _labels(query), _numbers(query)
    samples: dict[tuple[str, tuple[str, ...]], Sample] = {}
    for row in rows:
        texts = dict(zip(labels, row, strict=False))
        values = dict(zip(numbers, list(row)[len(labels) :], strict=True))
        for entry, metric in query.metrics:
            for column in entry.numbers:
                if values[column] is None:
                    continue
                own = (column,) if entry.value_label else ()
                chosen = (*(_text(texts[label], label, query) for label in entry.labels), *own)
                if (metric.name, chosen) in samples:
                    text = f"two rows with the same labels for {metric.name}; add a label, or group by them"
                    raise at(query, text)
                value = _number(values[column], column, entry, query)
                samples[metric.name, chosen] = Sample(metric, chosen, value)
    return list(samples.values())


def _labels(query: Query) -> list[str]:
    return list(dict.fromkeys(label for metric, _ in query.metrics for label in metric.labels))


def _numbers(query: Query) -> list[str]:
    return list(dict.fromkeys(column for metric, _ in query.metrics for column in metric.numbers))


def _text(value: str | None, label: str, query: Query) -> str:
    if value is not None and len(value) > LABEL_LENGTH:
        raise at(
            query, f"the label {label!r} has more than {LABEL_LENGTH} characters: it is a text, no label"
        )
    return value or ""


def _number(value: float | Decimal, column: str, entry: SqlMetric, query: Query) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise at(query, f"the column {column!r} holds {number}, which is not finite; NULL leaves a row out")
    if number < 0 and entry.type == "counter":
        raise at(query, f"the column {column!r} of the counter {entry.name} is below 0")
    return number

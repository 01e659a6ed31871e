"""The files of SQL metrics: what may stand in them, and messages that name file, line and key."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from exporter import _yaml
from exporter._yaml import Place
from exporter.catalog import Metric

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Behind spaces, comments and brackets. What else a statement could be, such as SET or COPY, is no query.
_QUERY = re.compile(
    r"(?:\s+|--[^\n]*|/\*.*?\*/|\()*+(?:select|with|values|table)\b", re.DOTALL | re.IGNORECASE
)

Column = Annotated[str, Field(min_length=1, max_length=63)]  # Postgres cuts longer names


class SqlMetric(BaseModel):
    """One metric: its declaration, and the columns that it takes its labels and its number from."""

    model_config = _STRICT

    name: str
    help: str
    type: Literal["gauge", "counter"]
    labels: Annotated[list[Column], Field(max_length=8)] = []
    value: Column = "value"
    values: Annotated[list[Column], Field(max_length=50)] = []
    value_label: Column | None = None

    @model_validator(mode="after")
    def _is_a_metric(self) -> Self:
        if bool(self.values) != bool(self.value_label):
            raise ValueError(
                "values and value_label go together: the label says which column a number is from"
            )
        if self.values and "value" in self.model_fields_set:
            raise ValueError("give either value or values")
        if len(set(self.values)) < len(self.values):
            raise ValueError("a column stands twice in values")
        self.declaration()
        for column in self.numbers:
            if column in self.labels:
                raise ValueError(f"the column {column!r} cannot be both label and value")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return tuple(self.values) or (self.value,)

    def declaration(self) -> Metric:
        """Return the metric that the entry declares. Raises ValueError where it breaks the naming rules."""
        own = (self.value_label,) if self.value_label else ()
        return Metric(self.name, self.type, self.help, (*self.labels, *own))


class _Run(BaseModel):
    """How a query is run; what is left out comes from the settings."""

    model_config = _STRICT

    query: str
    interval: Annotated[float, Field(ge=0, le=86400)] | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] | None = None
    rows: Annotated[int, Field(ge=1, le=10_000)] | None = None
    series: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @field_validator("query")
    @classmethod
    def _is_a_query(cls, value: str) -> str:
        if not _QUERY.match(value):
            raise ValueError("must be one query, beginning with select, with, values or table")
        return value


class _Single(_Run, SqlMetric):
    """A metric with a query of its own."""


class _Several(_Run):
    """A query that fills several metrics."""

    name: str
    metrics: Annotated[list[SqlMetric], Field(min_length=1, max_length=50)]

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("name a query by small letters, digits and '_', for example 'accounts'")
        return value


class _File(BaseModel):
    model_config = _STRICT

    metrics: list[_Single] = []
    queries: list[_Several] = []

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if not self.metrics and not self.queries:
            raise ValueError("has neither metrics nor queries")
        return self


@dataclass(frozen=True)
class Query:
    """A query, its limits, the metrics that it fills, and where it stands."""

    name: str
    kind: Literal["metric", "query"]
    text: str
    metrics: tuple[tuple[SqlMetric, Metric], ...]
    lines: tuple[int, ...]  # of the metrics' names
    path: Path
    line: int
    interval: float | None
    timeout: float | None
    rows: int | None
    series: int | None

    @property
    def place(self) -> str:
        """File and line, as messages name them."""
        return f"{self.path}:{self.line}"

    def metric_places(self) -> list[tuple[str, str]]:
        """Return each metric's name with its file and line."""
        named = zip(self.metrics, self.lines, strict=True)
        return [(metric.name, f"{self.path}:{line}") for (metric, _), line in named]


def load(paths: Iterable[Path]) -> tuple[Query, ...]:
    """Return the queries of all files; a path may have * and ?.

    Raises ValueError with a line for each fault, of all files.
    """
    queries: list[Query] = []
    faults: list[str] = []
    for path in _found(paths, faults):
        try:
            queries.extend(_read(path))
        except ValueError as error:
            faults.append(str(error))
    faults.extend(_twice(queries))
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(queries)


def _found(paths: Iterable[Path], faults: list[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        matches = [path]
        if re.search(r"[*?\[]", str(path)) and not path.exists():
            matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
            if not matches:
                faults.append(f"{path}: no such file")
        for match in matches:
            found.setdefault(match.resolve(), match)
    return list(found.values())


def _twice(queries: list[Query]) -> Iterator[str]:
    """Yield a fault for each name that stands in two places: of parts and of metrics."""
    metrics: dict[str, str] = {}
    named: dict[str, Query] = {}
    for query in queries:
        for name, place in query.metric_places():
            if name in metrics:
                yield f"{place}: the metric {name} stands already in {metrics[name]}"
            metrics.setdefault(name, place)
        first = named.setdefault(query.name, query)
        if first is not query and "query" in (first.kind, query.kind):  # of two metrics the line above spoke
            yield f"{query.place}: the name {query.name} stands already in {first.place}"


def _read(path: Path) -> Iterator[Query]:
    content, lines = _yaml.read(path)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise ValueError("\n".join(_message(path, fault, lines) for fault in error.errors())) from None
    for number, single in enumerate(file.metrics):
        line = lines["metrics", number, "name"]
        yield _query(single.name, "metric", single, [single], [line], path, line)
    for number, several in enumerate(file.queries):
        at: Place = ("queries", number)
        inner = [lines[*at, "metrics", each, "name"] for each in range(len(several.metrics))]
        yield _query(several.name, "query", several, several.metrics, inner, path, lines[*at, "name"])


def _query(
    name: str,
    kind: Literal["metric", "query"],
    run: _Run,
    metrics: Iterable[SqlMetric],
    lines: Iterable[int],
    path: Path,
    line: int,
) -> Query:
    return Query(
        name=name,
        kind=kind,
        text=run.query.rstrip("; \t\r\n"),
        metrics=tuple((metric, metric.declaration()) for metric in metrics),
        lines=tuple(lines),
        path=path,
        line=line,
        interval=run.interval,
        timeout=run.timeout,
        rows=run.rows,
        series=run.series,
    )


def _message(path: Path, fault: Any, lines: dict[Place, int]) -> str:
    place: Place = fault["loc"]
    known = place
    while known not in lines and known:
        known = known[:-1]
    key = ".".join(str(part) for part in place)
    match fault["type"]:
        case "extra_forbidden":
            text = f"unknown key; the keys are {', '.join(_keys(place[:-1]))}"
        case "missing":
            text = "is missing"
        case "model_type":
            text = "must have keys of its own"
        case _:
            text = fault["msg"].removeprefix("Value error, ")
    return f"{path}:{lines.get(known, 1)}: {key + ': ' if key else ''}{text}"


def _keys(place: Place) -> Iterable[str]:
    match place:
        case ("metrics", _):
            return _Single.model_fields
        case ("queries", _):
            return _Several.model_fields
        case ("queries", _, "metrics", _):
            return SqlMetric.model_fields
    return _File.model_fields

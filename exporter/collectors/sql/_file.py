"""The file of SQL metrics: what may stand in it, and messages that name file, line and key."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exporter import _yaml
from exporter._yaml import Place
from exporter.catalog import Metric


class SqlMetric(BaseModel):
    """One metric and the query that it is read with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: str
    help: str
    type: Literal["gauge", "counter"]
    query: Annotated[str, Field(min_length=1)]
    labels: Annotated[list[str], Field(max_length=8)] = []
    value: Annotated[str, Field(min_length=1)] = "value"
    interval: Annotated[float, Field(gt=0, le=86400)] | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] | None = None

    @model_validator(mode="after")
    def _is_a_metric(self) -> Self:
        self.declaration()
        if self.value in self.labels:
            raise ValueError(f"the column {self.value!r} cannot be both label and value")
        return self

    def declaration(self) -> Metric:
        """Return the metric that the entry declares. Raises ValueError where it breaks the naming rules."""
        return Metric(self.name, self.type, self.help, tuple(self.labels))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    metrics: list[SqlMetric]


def load(path: Path) -> list[SqlMetric]:
    """Return the entries of a file. Raises ValueError with a line for each fault."""
    return [metric for metric, _ in _read(path)]


def places(path: Path) -> dict[str, str]:
    """Return file and line of each entry's name."""
    return {metric.name: f"{path}:{line}" for metric, line in _read(path)}


def _read(path: Path) -> list[tuple[SqlMetric, int]]:
    content, lines = _yaml.read(path)
    try:
        metrics = _File.model_validate(content).metrics
    except ValidationError as error:
        raise ValueError("\n".join(_message(path, fault, lines) for fault in error.errors())) from None
    first: dict[str, int] = {}
    named = [(metric, lines["metrics", number, "name"]) for number, metric in enumerate(metrics)]
    for metric, line in named:
        if first.setdefault(metric.name, line) != line:
            raise ValueError(
                f"{path}:{line}: {metric.name} stands in the file already, in line {first[metric.name]}"
            )
    return named


def _message(path: Path, fault: Any, lines: dict[Place, int]) -> str:
    place: Place = fault["loc"]
    known = place
    while known not in lines and known:
        known = known[:-1]
    key = ".".join(str(part) for part in place)
    match fault["type"]:
        case "extra_forbidden":
            names = ", ".join(SqlMetric.model_fields) if len(place) > 1 else "metrics"
            text = f"unknown key; the keys are {names}"
        case "missing":
            text = "is missing"
        case "model_type":
            text = "must have keys of its own"
        case _:
            text = fault["msg"].removeprefix("Value error, ")
    return f"{path}:{lines.get(known, 1)}: {key + ': ' if key else ''}{text}"

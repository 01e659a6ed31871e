"""The file of SQL metrics: what may stand in it, and messages that name file, line and key."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exporter.catalog import Metric

Place = tuple[str | int, ...]


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
    lines: dict[Place, int] = {}
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        content = _plain(root, (), lines) if root else None
        metrics = _File.model_validate(content).metrics
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem}") from None
    except yaml.YAMLError:
        raise ValueError(f"{path}: has a character that YAML forbids") from None
    except RecursionError:
        raise ValueError(f"{path}: refers to itself") from None
    except ValidationError as error:
        raise ValueError("\n".join(_message(path, fault, lines) for fault in error.errors())) from None
    first: dict[str, int] = {}
    for number, metric in enumerate(metrics):
        line = lines["metrics", number, "name"]
        if first.setdefault(metric.name, line) != line:
            raise ValueError(
                f"{path}:{line}: {metric.name} stands in the file already, in line {first[metric.name]}"
            )
    return metrics


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """Turn a YAML node into plain values, and note the line of each."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, number), lines) for number, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return yaml.SafeLoader("").construct_object(node)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        if key in mapping:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key!r} stands here twice", problem_mark=key_node.start_mark
            )
        lines[*place, key] = key_node.start_mark.line + 1  # a block of text begins below its key
        mapping[key] = _plain(value_node, (*place, key), lines)
    return mapping


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

"""The one configuration: a YAML file under `WATCHKEEPER_*` variables, valid as a whole or not at all."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from exporter.collectors import CollectorSettings, found

PREFIX = "WATCHKEEPER_"
# Read by the command itself rather than by the model.
CONFIG_VARIABLE = PREFIX + "CONFIG"

Path_ = tuple[str, ...]


class ConfigError(Exception):
    """What is wrong with a configuration: a line for each fault, with its place and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ServerSettings(BaseModel):
    """Where the exporter listens, and how long a scrape may take."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    listen: str = Field(default="127.0.0.1:9808", description="Address and port of the metrics page.")
    scrape_timeout: float = Field(
        default=10.0, gt=0, le=300, description="Seconds after which a scrape is answered in any case."
    )

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("use address:port, for example 127.0.0.1:9808 or [::]:9808")
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to bind."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Config:
    """A valid configuration: the server's settings, and those of each collector that is on."""

    server: ServerSettings
    collectors: Mapping[str, CollectorSettings]
    origins: Mapping[Path_, str] = field(default_factory=dict, repr=False)


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file (none: an empty one), lay the environment over it, and check the whole.

    A variable names a key by its path: `WATCHKEEPER_COLLECTORS__REDIS__URL`. Raises ConfigError.
    """
    values: dict[str, Any] = {}
    origins: dict[Path_, str] = {}
    if path is not None:
        values = _read(path, origins)
    _overlay(values, origins, environ)
    model = _model()
    try:
        valid: Any = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*_problems(error, origins, model)) from None
    on = {name: getattr(valid.collectors, name) for name in found()}
    collectors = {name: settings for name, settings in on.items() if settings is not None}
    return Config(valid.server, collectors, origins)


def _model() -> type[BaseModel]:
    """Build the model from the collectors that are in the folder; present in the file means on."""
    strict = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    fields: dict[str, Any] = {name: (module.Settings | None, None) for name, module in found().items()}
    collectors = create_model("Collectors", __config__=strict, **fields)
    return create_model(
        "Config",
        __config__=strict,
        server=(ServerSettings, ServerSettings()),
        collectors=(collectors, collectors()),
    )


def _read(path: Path, origins: dict[Path_, str]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: is not valid YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path}: is not valid YAML: it has a character that YAML forbids") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(
            f"{path}:{root.start_mark.line + 1}: must be keys with values, such as 'collectors:'"
        )
    try:
        value = _plain(root, (), path, origins)
    except yaml.constructor.ConstructorError as error:
        assert error.problem_mark is not None
        line = error.problem_mark.line + 1
        raise ConfigError(f"{path}:{line}: is not valid YAML: {error.problem}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is not valid configuration: it refers to itself") from None
    assert isinstance(value, dict)
    return value


def _plain(node: yaml.Node, at: Path_, path: Path, origins: dict[Path_, str]) -> Any:
    """Turn a YAML node into plain values and note the line of every key."""
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{path}:{line}: a key must be a plain word")
            key = str(key_node.value)
            if key in mapping:
                raise ConfigError(
                    f"{path}:{line}: the key {'.'.join((*at, key))!r} stands here a second time"
                )
            origins[(*at, key)] = f"{path}:{line}"
            mapping[key] = _plain(value_node, (*at, key), path, origins)
        # "redis:" with nothing behind it switches the collector on with its defaults.
        return mapping
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            origins[(*at, str(number))] = f"{path}:{item.start_mark.line + 1}"
        return [_plain(item, (*at, str(n)), path, origins) for n, item in enumerate(node.value)]
    value = yaml.SafeLoader("").construct_object(node)
    return {} if value is None and len(at) == 2 and at[0] == "collectors" else value


def _overlay(values: dict[str, Any], origins: dict[Path_, str], environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        keys = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        place: Any = values
        for depth, key in enumerate(keys[:-1]):
            origins.setdefault(keys[: depth + 1], f"variable {variable}")
            if not isinstance(place.setdefault(key, {}), dict):
                raise ConfigError(
                    f"variable {variable}: {'.'.join(keys[: depth + 1])} is a single value and has no keys"
                )
            place = place[key]
        # An empty mapping stands for "on with its defaults": WATCHKEEPER_COLLECTORS__HOST=
        empty_collector = len(keys) == 2 and keys[0] == "collectors" and not environ[variable]
        place[keys[-1]] = {} if empty_collector else environ[variable]
        origins[keys] = f"variable {variable}"


def _problems(error: ValidationError, origins: Mapping[Path_, str], model: type[BaseModel]) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False):
        keys = tuple(str(part) for part in problem["loc"])
        name = ".".join(keys) or "configuration"
        place = _place(keys, origins)
        if problem["type"] == "extra_forbidden":
            yield f"{place}: unknown key {name!r}{_suggestion(keys, model)}"
        elif problem["type"] == "missing":
            variable = PREFIX + "__".join(keys).upper()
            yield f"{place}: {name} is missing; set it in the file or as {variable}"
        elif problem["type"] in ("model_type", "dict_type"):
            yield f"{place}: {name}: must have keys of its own"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            yield f"{place}: {name}: {message[:1].lower()}{message[1:]}"


def _place(keys: Path_, origins: Mapping[Path_, str]) -> str:
    """Return where a key stands, or the nearest key above it."""
    for length in range(len(keys), 0, -1):
        if keys[:length] in origins:
            return origins[keys[:length]]
    return "configuration"


def _suggestion(keys: Path_, model: type[BaseModel]) -> str:
    known = _known(keys[:-1], model)
    close = difflib.get_close_matches(keys[-1], known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _known(keys: Path_, model: Any) -> list[str]:
    for key in keys:
        info = model.model_fields.get(key) if hasattr(model, "model_fields") else None
        if info is None:
            return []
        options = [info.annotation, *getattr(info.annotation, "__args__", ())]
        model = next((option for option in options if hasattr(option, "model_fields")), None)
    return list(model.model_fields) if model is not None else []


def effective(config: Config) -> str:
    """Return the configuration in force as YAML, secrets hidden, each key with the place it comes from."""
    lines: list[str] = []
    _print(lines, config, ("server",), config.server, 0)
    lines.append("collectors:")
    for name, settings in config.collectors.items():
        _print(lines, config, ("collectors", name), settings, 1)
    return "\n".join(lines) + "\n"


def _print(lines: list[str], config: Config, at: Path_, settings: BaseModel, depth: int) -> None:
    indent = "  " * depth
    lines.append(f"{indent}{at[-1]}:")
    for key, value in settings.model_dump(mode="json").items():
        origin = config.origins.get((*at, key), "default")
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
        lines.append(f"{indent}  {key}: {text}  # {origin}")

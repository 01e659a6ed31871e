"""The one configuration: a YAML file under `WATCHKEEPER_*` variables, valid as a whole or not at all."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
)

from exporter import _yaml, inventory
from exporter._config_problems import PREFIX, Path_, problems
from exporter.collectors import CollectorSettings, found
from exporter.runner import reserved

# Read by the command itself rather than by the model.
CONFIG_VARIABLE = PREFIX + "CONFIG"

# Kubernetes gives every container the address of each Service of its namespace in variables that begin with
# the Service's name. A Service named `watchkeeper` must not keep the exporter from starting.
_LINK = re.compile(
    r"(WATCHKEEPER(?:_[A-Z0-9]+)*?)_"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP)(?:_(?:ADDR|PORT|PROTO))?)?)"
)

Collectors = Mapping[str, CollectorSettings]


def _target_name(name: str) -> str:
    """Check a name that stands in an address of ours, and in Prometheus's label `instance`."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,62}", name):
        raise ValueError("name a target by small letters, digits, '_', '-' and '.', for example 'replica-1'")
    return name


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

    web_config_file: Path | None = Field(
        default=None,
        description="TLS, users and tokens for the pages: a file in Prometheus's web configuration format.",
    )
    user: str | None = Field(
        default=None,
        description="Started as root, become this user (or user:group, uid:gid) when the address is bound.",
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
    """A valid configuration: the server's settings, and those of each collector that is on.

    `collectors` are those of the page /metrics; each of `targets` has a page of its own, by its name.
    """

    server: ServerSettings
    collectors: Collectors
    targets: Mapping[str, Collectors] = field(default_factory=dict)
    origins: Mapping[Path_, str] = field(default_factory=dict, repr=False)

    @property
    def files(self) -> list[Path]:
        """The files of settings that a reload reads again."""
        places = {place.rpartition(":")[0] for place in self.origins.values()}
        return [Path(place) for place in sorted(places) if place]

    def pages(self) -> dict[tuple[str, ...], Collectors]:
        """Return the collectors of each page, by the keys under which the file has them."""
        pages: dict[tuple[str, ...], Collectors] = {("collectors",): self.collectors}
        return pages | {("targets", name): collectors for name, collectors in self.targets.items()}


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file (none: an empty one), lay the environment over it, and check the whole.

    A variable names a key by its path: `WATCHKEEPER_COLLECTORS__REDIS__URL`. A relative path in the file is
    seen from the file's folder, one in a variable from the working directory. Raises ConfigError.
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
        raise ConfigError(*problems(error, origins, model)) from None
    targets = {name: _on(section) for name, section in valid.targets.items()}
    config = Config(valid.server, _on(valid.collectors), targets, origins)
    wrong = [
        *(problem for collectors in config.pages().values() for problem in taken(collectors)),
        *_empty(config),
    ]
    if wrong:
        raise ConfigError(*wrong)
    return config


def _on(section: Any) -> Collectors:
    settings = {name: getattr(section, name) for name in found()}
    return {name: each for name, each in settings.items() if each is not None}


def _empty(config: Config) -> Iterator[str]:
    for name, collectors in config.targets.items():
        if not collectors:
            place = config.origins.get(("targets", name), "configuration")
            yield f"{place}: targets.{name}: no collector is on; name one ({', '.join(found())})"


def taken(collectors: Collectors) -> Iterator[str]:
    """Yield a problem for each metric named by the user whose name means something else already."""
    for collector, settings in collectors.items():
        names = getattr(found()[collector], "chosen_names", None)
        chosen = names(settings) if names else {}
        # Asked for only when there is something to compare: it imports the whole package.
        declared = inventory.by_module() if chosen else {}
        owners = {metric.name: module for module, metrics in declared.items() for metric in metrics}
        for name, place in chosen.items():
            owner = owners.get(name)
            problem = f"{place}: choose another name: {name!r} is"
            if reserved(name):
                yield f"{problem} kept for Prometheus and Watchkeeper itself"
            # The collector's own declarations are what the user's replace.
            elif owner and not f"{owner}.".startswith(f"{found()[collector].__name__}."):
                yield f"{problem} declared in {owner}"


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
        targets=(dict[Annotated[str, AfterValidator(_target_name)], collectors], {}),  # type: ignore[valid-type]
    )


def _read(path: Path, origins: dict[Path_, str]) -> dict[str, Any]:
    try:
        values, lines = _yaml.read(path)
    except _yaml.YamlError as error:
        raise ConfigError(str(error)) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:{lines[()]}: must be keys with values, such as 'collectors:'")
    del lines[()]
    origins.update({tuple(map(str, place)): f"{path}:{line}" for place, line in lines.items()})
    targets = values.get("targets")
    pages = [values.get("collectors"), *(targets.values() if isinstance(targets, dict) else ())]
    for collectors in pages:
        if isinstance(collectors, dict):
            for name, section in collectors.items():
                # "redis:" with nothing behind it switches the collector on with its defaults.
                model = found()[name].Settings if name in found() else None
                collectors[name] = {} if section is None else _beside(section, model, path.parent)
    if "server" in values:
        values["server"] = _beside(values["server"], ServerSettings, path.parent)
    return values


def _beside(section: Any, model: type[BaseModel] | None, folder: Path) -> Any:
    """Make the paths in a section relative to the folder of the file that they stand in."""
    if model is None or not isinstance(section, dict):
        return section
    fields = model.model_fields
    return {
        key: _from(folder, fields[key].annotation, value) if key in fields else value
        for key, value in section.items()
    }


def _from(folder: Path, annotation: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_from(folder, annotation, item) for item in value]
    return str(folder / value) if isinstance(value, str) and _means_path(annotation, value) else value


def _means_path(annotation: Any, value: str) -> bool:
    """Whether a key of this type takes the value as a path; a `Literal` beside the `Path` is a word."""
    kinds = list(_kinds(annotation))
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    return Path in kinds and value not in words


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield a type and all that it is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _kinds(part)


def _overlay(values: dict[str, Any], origins: dict[Path_, str], environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE or _is_link(variable, environ):
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
        depth = {"collectors": 2, "targets": 3}.get(keys[0], 0)
        empty_collector = len(keys) == depth and not environ[variable]
        place[keys[-1]] = {} if empty_collector else environ[variable]
        origins[keys] = f"variable {variable}"


def _is_link(variable: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes (or an old Docker link) has made the variable of a service's address.

    Of a service `watchkeeper-mail` it must have made the host too, or a misspelt key could pass for a port.
    """
    link = _LINK.fullmatch(variable)
    return link is not None and (link[1] + "_" == PREFIX or f"{link[1]}_SERVICE_HOST" in environ)


def effective(config: Config) -> str:
    """Return the configuration in force as YAML, secrets hidden, each key with the place it comes from."""
    lines: list[str] = []
    _print(lines, config, ("server",), config.server, 0)
    for keys, collectors in config.pages().items():
        _heads(lines, keys)
        for name, settings in collectors.items():
            _print(lines, config, (*keys, name), settings, len(keys))
    return "\n".join(lines) + "\n"


def _heads(lines: list[str], keys: Path_) -> None:
    for depth, key in enumerate(keys):
        head = f"{'  ' * depth}{key}:"
        if depth or head not in lines:
            lines.append(head)


def _print(lines: list[str], config: Config, at: Path_, settings: BaseModel, depth: int) -> None:
    indent = "  " * depth
    lines.append(f"{indent}{at[-1]}:")
    for key, value in settings.model_dump(mode="json").items():
        origin = config.origins.get((*at, key), "default")
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
        lines.append(f"{indent}  {key}: {text}  # {origin}")

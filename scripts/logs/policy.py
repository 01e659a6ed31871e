"""deploy/logs/policy.yml, read strictly."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from exporter.instrument.logs.classes import CLASSES

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "logs"


class PolicyError(Exception):
    """The policy cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Policy:
    """How long lines of each class are kept, in days, and between which places they travel."""

    retention_days: dict[str, int]
    schema: str
    files: str
    dataset: str
    namespace: str
    elasticsearch: str
    loki: str

    def __post_init__(self) -> None:
        if set(self.retention_days) != set(CLASSES):
            raise PolicyError(f"retention_days: give days for {', '.join(CLASSES)}, and for nothing else")
        for name, days in self.retention_days.items():
            if type(days) is not int or days < 1:
                raise PolicyError(f"retention_days: {name}: {days!r} is no number of days")
        if self.schema not in ("flat", "ecs"):
            raise PolicyError(f"schema: {self.schema!r}; use flat or ecs")
        for name in ("dataset", "namespace"):
            value = getattr(self, name)
            # What data streams may be called, less what would make two of them look alike.
            if not value or not all(c.islower() or c.isdigit() or c == "_" for c in value):
                raise PolicyError(f"{name}: {value!r}; use small letters, digits and underscores")
        for name in ("elasticsearch", "loki"):
            parts = urlsplit(str(getattr(self, name)))
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
                raise PolicyError(f"{name}: {getattr(self, name)!r}; use http://host:port without a password")

    def stream(self, log_class: str) -> str:
        """Return the name of a class's data stream."""
        return f"logs-{self.dataset}.{log_class}-{self.namespace}"

    def rollover_days(self, log_class: str) -> int:
        """Return after how many days a new index begins.

        Whole indices are deleted, so a line lives this much longer than promised: a tenth, at most a month.
        """
        return min(max(self.retention_days[log_class] // 10, 1), 30)


def read(path: Path = FOLDER / "policy.yml") -> Policy:
    """Return the policy. Raises PolicyError for keys that are unknown or missing, and for odd values."""
    try:
        given: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PolicyError(f"{path}: {error}") from None
    names = {field.name for field in fields(Policy)}
    if not isinstance(given, dict) or given.keys() != names:
        different = ", ".join(sorted(set(given) ^ names)) if isinstance(given, dict) else "it is no mapping"
        raise PolicyError(f"{path}: unknown or missing: {different}")
    try:
        return Policy(**given)
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None

"""What a user may choose about logs, and what the environment says where he has not."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from exporter.instrument.logs.classes import CLASSES, KEPT
from exporter.instrument.logs.schema import Schema


@dataclass(frozen=True)
class LogOptions:
    """How lines are written; `instrument(app, logs=LogOptions(...))`. Raises ValueError for what cannot be.

    `service` names the application (`SERVICE_NAME`, `OTEL_SERVICE_NAME`, else "app"). `level` is the lowest
    that is written (`LOG_LEVEL`, else INFO), `schema` "flat" or "ecs" (`LOG_SCHEMA`). Lines go to standard
    output, or are appended to `file` (`LOG_FILE`), which is renamed to `<file>.1` beyond `file_bytes`.

    `classes` gives classes to loggers and those below them, as `{"shop.audit": "audit"}`. `sample` is the
    share of requests whose lines are kept, by class, as `{"debug": 0.1}`; warnings and worse are always
    kept, and so are all audit and security lines. `queue` is how many lines may wait to be written.

    `access` writes one line a request. `response_header` names a header that tells the client its trace.
    `take_over` makes the root logger, uvicorn and gunicorn write through us, and their access lines end.
    `scrub` takes private data out of messages, exceptions and added fields: True is the built-in scrubber,
    False none, and a function gets a text or a dict and returns the same, cleaned.
    """

    service: str = ""
    level: str = ""
    schema: str = ""
    file: str | Path = ""
    file_bytes: int = 100_000_000
    queue: int = 10_000
    classes: Mapping[str, str] = field(default_factory=dict)
    sample: Mapping[str, float] = field(default_factory=dict)
    access: bool = True
    response_header: str = ""
    take_over: bool = True
    scrub: bool | Callable[[Any], Any] = True

    def __post_init__(self) -> None:
        environment = os.environ.get
        given = {
            "service": environment("SERVICE_NAME") or environment("OTEL_SERVICE_NAME") or "app",
            "level": environment("LOG_LEVEL") or "INFO",
            "schema": environment("LOG_SCHEMA") or "flat",
            "file": environment("LOG_FILE") or "",
        }
        for name, value in given.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        object.__setattr__(self, "level", str(self.level).upper())
        object.__setattr__(self, "service", self.service[:256])
        for wrong in self._wrong():
            raise ValueError(f"logs: {wrong}")

    def _wrong(self) -> list[str]:
        found = []
        if self.level not in logging.getLevelNamesMapping():
            found.append(f"unknown level {self.level!r} (LOG_LEVEL); use DEBUG, INFO, WARNING, ERROR")
        if self.schema not in get_args(Schema):
            found.append(f"unknown schema {self.schema!r} (LOG_SCHEMA); use flat or ecs")
        if self.queue < 1:
            found.append("the queue must have room for one line at least")
        for name, share in self.sample.items():
            if name not in CLASSES or name in KEPT:
                found.append(f"class {name!r} cannot be sampled; only production and debug can")
            elif not 0 <= share <= 1:
                found.append(f"the share of {name!r} is {share}; it must be from 0 to 1")
        return found

    @classmethod
    def of(cls, given: "bool | LogOptions | Mapping[str, Any]") -> "LogOptions":
        """Return options, whichever way they are given. Raises TypeError for an option that is unknown."""
        if isinstance(given, LogOptions):
            return given
        return cls() if isinstance(given, bool) else cls(**given)

"""What a collector is. Every other file or package in this folder is one, by its name."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from exporter.catalog import Sample

T = TypeVar("T")


class CollectorSettings(BaseModel):
    """What every collector can be told; a collector adds its own by inheriting."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    timeout: float = Field(default=5.0, gt=0, le=300, description="Seconds that one run may take.")
    interval: float = Field(
        default=0.0,
        ge=0,
        le=86400,
        description="Seconds between runs in the background; 0 reads at each scrape.",
    )


class Keep:
    """What a collector holds between its runs: connections (dropped after a failed run) and memories."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Any, Callable[[Any], Awaitable[None]]]] = {}
        self._memories: dict[str, Any] = {}

    async def open(
        self, name: str, connect: Callable[[], Awaitable[T]], close: Callable[[T], Awaitable[None]]
    ) -> T:
        """Return what `connect` made, at most once until the next failure. `close` must not wait for ever."""
        if name not in self._open:
            self._open[name] = (await connect(), cast(Callable[[Any], Awaitable[None]], close))
        return cast(T, self._open[name][0])

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` made the first time; it outlives failures."""
        if name not in self._memories:
            self._memories[name] = make()
        return cast(T, self._memories[name])

    async def drop(self) -> None:
        """Close all that is open; the next run connects again."""
        held, self._open = self._open, {}
        for thing, close in held.values():
            await close(thing)


class Collector(Protocol):
    """The shape of a module in this folder. Nothing inherits from it.

    `collect` raises when it cannot read; `exporter.scrape` is the one place that catches. A module that
    reads over a wire declares a gauge `UP`; the scrape publishes it as 1 or 0. A module whose settings name
    metrics has `chosen_names(settings)`, which gives the place of each name: taken ones are refused.
    """

    Settings: type[CollectorSettings]

    def collect(self, settings: Any, keep: Keep) -> AsyncIterator[Sample]: ...


@cache
def found() -> dict[str, ModuleType]:
    """Import every collector in this folder; a name starting with an underscore is not one."""
    return {
        info.name: importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    }

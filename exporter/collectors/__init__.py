"""What a collector is. Every other file or package in this folder is one, by its name."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
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


class Shared:
    """What all collectors of a page hold together, such as the connections to one server."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Any, Callable[[Any], Awaitable[None]]]] = {}

    def get(self, name: str, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
        """Return what `make` made the first time."""
        if name not in self._held:
            self._held[name] = (make(), cast(Callable[[Any], Awaitable[None]], close))
        return cast(T, self._held[name][0])

    async def close(self) -> None:
        """Close all of it. Raises what a `close` raised last, after the others had theirs."""
        held, self._held = self._held, {}
        await _close_all(list(held.values()))


class Keep:
    """What a run leaves for the next one: connections (dropped after a failed run) and memories."""

    def __init__(self, shared: Shared | None = None) -> None:
        self._open: dict[str, tuple[Any, Callable[[Any], Awaitable[None]]]] = {}
        self._memories: dict[str, Any] = {}
        self._shared = Shared() if shared is None else shared

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

    def shared(self, name: str, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
        """Return what `make` made the first time for any collector of this page; it outlives failures.

        It is closed when the exporter stops or reads its settings anew.
        """
        return self._shared.get(name, make, close)

    async def drop(self) -> None:
        """Close all that is open; the next run connects again."""
        held, self._open = self._open, {}
        await _close_all(list(held.values()))


async def _close_all(held: list[tuple[Any, Callable[[Any], Awaitable[None]]]]) -> None:
    errors = []
    for thing, close in held:
        try:
            await close(thing)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[-1]


Collect = Callable[[Any, Keep], AsyncIterator[Sample]]


@dataclass(frozen=True)
class Part:
    """A share of a collector that runs, is timed and fails on its own.

    Of the collector `postgres` the part `tables` is called `postgres.tables` in logs and in the label
    `collector`; a part without a name is called as the collector. `collect` gets settings and keep, yields
    samples, and raises when it cannot read. `timeout` and `interval` in seconds stand before those of the
    settings; with an interval it runs in the background, and a scrape shows what it gave last.
    """

    name: str
    collect: Collect
    timeout: float | None = None
    interval: float | None = None


class Collector(Protocol):
    """The shape of a module in this folder. Nothing inherits from it.

    `collect` raises when it cannot read; `exporter.scrape` is the one place that catches. A collector of
    which a share may fail, or be slow, without the rest has `parts(settings)` in its place, which gives
    `Part`s. A module that reads over a wire declares a gauge `UP`; the scrape publishes it as 1 or 0. A
    module whose settings name metrics has `chosen_names(settings)`, which gives the place of each name:
    taken ones are refused.
    """

    Settings: type[CollectorSettings]

    def collect(self, settings: Any, keep: Keep) -> AsyncIterator[Sample]: ...


def parts_of(module: Any, settings: CollectorSettings) -> list[Part]:
    """Return the parts of a collector; one that has none is a part by itself."""
    if hasattr(module, "parts"):
        return list(module.parts(settings))
    return [Part("", module.collect)]


@cache
def found() -> dict[str, ModuleType]:
    """Import every collector in this folder; a name starting with an underscore is not one."""
    return {
        info.name: importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
        if not info.name.startswith("_")
    }

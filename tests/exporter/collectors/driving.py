"""How the tests run a collector as the scrape does, and look at what it gave."""

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import asyncpg
import psutil

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep, Shared


async def read(module: ModuleType, settings: Any, keep: Keep, **more: Any) -> list[Sample]:
    """One run of all parts, one after the other, over what `keep` holds; the first error ends it."""
    if not hasattr(module, "parts"):
        return [sample async for sample in module.collect(settings, keep, **more)]
    return [
        sample for part in module.parts(settings) async for sample in part.collect(settings, keep, **more)
    ]


def read_once(module: ModuleType, settings: Any, **more: Any) -> list[Sample]:
    """One run from nothing, all closed after it."""

    async def scenario(keep: Keep) -> list[Sample]:
        return await read(module, settings, keep, **more)

    return with_keep(scenario)


def with_keep(scenario: Callable[[Keep], Awaitable[Any]]) -> Any:
    """What the scenario returns, with everything closed after it, failed or not."""

    async def run() -> Any:
        shared = Shared()
        keep = Keep(shared)
        try:
            return await scenario(keep)
        finally:
            await keep.drop()
            await shared.close()

    return asyncio.run(run())


def values(samples: list[Sample], metric: Metric, **labels: str) -> list[float]:
    """The values of a metric's series that have these labels."""
    return [
        sample.value
        for sample in samples
        if sample.metric is metric
        and labels.items() <= dict(zip(metric.labels, sample.labels, strict=True)).items()
    ]


def value(samples: list[Sample], metric: Metric, **labels: str) -> float:
    """The one value of a series."""
    (found,) = values(samples, metric, **labels)
    return found


async def execute(dsn: str, *statements: str) -> None:
    """Run statements one by one, each for itself."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def failure(module: ModuleType, settings: Any, **more: Any) -> BaseException:
    """The error that a run ends with."""
    try:
        samples = read_once(module, settings, **more)
    except Exception as error:
        return error
    raise AssertionError(f"the run should have failed, and gave {len(samples)} samples")


def connections_at(port: int) -> int:
    """The connections that a server on this port has, those included that it has not noticed yet."""
    return sum(
        one.laddr.port == port and one.status in (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
        for one in psutil.net_connections("tcp")
    )

"""`watchkeeper check`: every collector once, and what to do about those that fail."""

import asyncio
import sys
from collections.abc import Iterable

from exporter.config import Config
from exporter.runner import Outcome
from exporter.service import Service


async def check(config: Config) -> bool:
    """Run all collectors of all pages once, print a table, and return whether all work."""
    service = Service(config)
    limit = config.server.scrape_timeout
    try:
        pages = await asyncio.gather(*(each.outcomes(limit) for each in service.scrapers.values()))
    finally:
        await service.close()
    results = [
        (f"{page}/{runner.name}" if page else runner.name, outcome)
        for page, readings in zip(service.scrapers, pages, strict=True)
        for runner, outcome in readings
    ]
    _print(results)
    return not any(outcome.error for _, outcome in results)


def _print(results: Iterable[tuple[str, Outcome]]) -> None:
    results = list(results)
    width = max(9, *(len(name) for name, _ in results))
    print(f"{'COLLECTOR':{width}}  RESULT  SECONDS  SAMPLES  REASON")
    for name, outcome in results:
        result = "failed" if outcome.error else "ok"
        why = f"{outcome.reason}: {outcome.advice}" if outcome.error else ""
        count = len(outcome.samples)
        print(f"{name:{width}}  {result:6}  {outcome.seconds:7.3f}  {count:7}  {why}".rstrip())
    for name, outcome in results:
        if outcome.place:
            print(f"watchkeeper: collector {name}: {outcome.place}", file=sys.stderr)

"""Visitors of the demo SaaS: a day's traffic in minutes, on this machine only."""

import argparse
import asyncio
import contextlib
import math
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from examples.settings import is_loopback
from examples.visitors import MIX, Visitors

T = TypeVar("T")

_AT_ONCE = 64  # requests under way; when the application is slow, visitors beyond these go away
_START_HOUR = 9.0  # a demo begins with the morning's rise
_REPORT_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """How much load, and for how long."""

    url: str
    day_seconds: float = 600.0
    seconds: float = math.inf
    peak: float = 20.0  # requests a second; two cores answer several hundred


def busyness(hour: float) -> float:
    """Return the share of the day's peak at this hour: high at eleven and in the evening."""

    def hump(middle: float, width: float) -> float:
        distance = (hour - middle + 12) % 24 - 12
        return math.exp(-((distance / width) ** 2))

    return min(1.0, 0.15 + 0.85 * max(hump(11, 3.5), 0.8 * hump(19.5, 3)))


def duration(text: str) -> float:
    """Return the seconds of "90", "90s", "10m" or "1h". Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if seconds <= 0:
        raise ValueError(f"{text!r} is no length of time; write 90, 90s, 10m or 1h")
    return seconds


def local_url(text: str) -> str:
    """Return a base URL on this machine. Raises ValueError for any other: strangers are not to be loaded."""
    try:
        url = httpx.URL(text)  # the client's own reading, so that what is checked is what is called
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL: {error}") from None
    if url.scheme != "http" or not is_loopback(url.host) or (url.port or 80) > 65_535:
        raise ValueError(f"{text!r} is not on this machine")
    return str(url).rstrip("/")


async def run(plan: Plan, stop: asyncio.Event, seed: int | None = None) -> Counter[str]:
    """Send visitors until `stop` is set or the time is over; return how many requests ended how."""
    chance = random.Random(seed)
    ended: Counter[str] = Counter()
    # Each visit is somebody else's; besides, uvicorn ends a connection after a 500.
    limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0)
    # trust_env: a proxy from the environment is not for this machine itself.
    async with httpx.AsyncClient(base_url=plan.url, timeout=15, limits=limits, trust_env=False) as client:
        visitors = Visitors(client, chance, ended)
        started = reported = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        # First each kind once, so that every series exists early; then the mix.
        deck = list(MIX)
        while not stop.is_set() and (gone := time.monotonic() - started) < plan.seconds:
            if not deck:
                deck = [kind for kind, weight in MIX.items() for _ in range(weight)]
                chance.shuffle(deck)
            if len(under_way) < _AT_ONCE:
                task = asyncio.create_task(visitors.visit(deck.pop()))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                ended["turned away"] += 1
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                print(summary(ended, gone), flush=True)
            hour = (_START_HOUR + 24 * gone / plan.day_seconds) % 24
            pause = chance.expovariate(plan.peak * busyness(hour))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(pause, plan.seconds - gone))
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    print(summary(ended, time.monotonic() - started), flush=True)
    return ended


def summary(ended: Counter[str], seconds: float) -> str:
    """Return one line about the load so far."""
    parts = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
    return f"load: {ended.total()} requests in {seconds:.0f} s: {parts}"


def _plan(arguments: list[str] | None) -> Plan:
    def checked(check: Callable[[str], T]) -> Callable[[str], T]:
        def convert(text: str) -> T:
            try:
                return check(text)
            except ValueError as error:  # argparse would leave its text out
                raise argparse.ArgumentTypeError(str(error)) from None

        return convert

    parser = argparse.ArgumentParser(prog="python -m examples.load", description=__doc__)
    parser.add_argument("--url", type=checked(local_url), default="http://127.0.0.1:8000")
    parser.add_argument("--day", type=checked(duration), default=600.0, help="length of a day (default: 10m)")
    parser.add_argument(
        "--seconds", type=checked(duration), default=math.inf, help="stop after (default: never)"
    )
    parser.add_argument(
        "--peak", type=float, default=Plan.peak, help="requests a second (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.peak <= 200:
        parser.error("--peak is between 0 and 200")
    return Plan(chosen.url, chosen.day, chosen.seconds, chosen.peak)


async def main(arguments: list[str] | None = None) -> int:
    """Run from the command line until the time is over, SIGINT or SIGTERM."""
    plan = _plan(arguments)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(plan, stop)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

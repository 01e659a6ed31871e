"""Waiting for something to become true, with a limit; nothing else in the tests waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
EVERY = 0.05  # seconds between two looks


def wait_for(condition: Callable[[], T], seconds: float = 10, message: str = "") -> T:
    """What the condition returns as soon as that is true; or AssertionError with the last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {message or condition} (at last: {value!r})")
        time.sleep(EVERY)
    return value


async def wait_for_async(condition: Callable[[], Awaitable[T]], seconds: float = 10, message: str = "") -> T:
    """The same for a coroutine function, without stopping the loop."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {message or condition} (at last: {value!r})")
        await asyncio.sleep(EVERY)
    return value

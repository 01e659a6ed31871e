"""Switches that make the demo misbehave, so that its alerts can be seen: only with DEMO_FAULTS=1."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

import psutil
from fastapi import APIRouter, Depends, HTTPException, Query, Request

from examples.settings import is_loopback

_CHUNK = 64 * 1024 * 1024
_KEEP_FREE = 0.05  # of the machine's memory: enough for the alert at 90 %, and the machine stays usable


class SwitchedOnError(Exception):
    """The error that the switch `errors` makes."""


class Faults:
    """The switches. Each goes off by itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow: tuple[float, float] = (0.0, 0.0)  # seconds, until
        self._errors: tuple[float, float] = (0.0, 0.0)  # ratio, until
        self._owed = 0.0
        self._memory: list[bytearray] = []
        self._memory_until = 0.0
        self._release: asyncio.TimerHandle | None = None

    def state(self) -> dict[str, dict[str, float]]:
        """Return what is on, and for how many more seconds."""
        now = self._clock()
        switches = {
            "slow": ("seconds", *self._slow),
            "errors": ("ratio", *self._errors),
            "memory": ("megabytes", sum(map(len, self._memory)) / 1_000_000, self._memory_until),
        }
        return {
            name: {what: value, "seconds_left": round(until - now, 1)}
            for name, (what, value, until) in switches.items()
            if until > now
        }

    def off(self) -> None:
        """Switch all off, and give the memory back."""
        self._slow = self._errors = (0.0, 0.0)
        self._free()

    def slow_down(self, seconds: float, lasting: float) -> None:
        """Make the product page wait."""
        self._slow = (seconds, self._clock() + lasting)

    def fail(self, ratio: float, lasting: float) -> None:
        """Make this share of the shop's requests fail."""
        self._errors, self._owed = (ratio, self._clock() + lasting), 0.0

    async def take_memory(self, megabytes: int, lasting: float) -> None:
        """Hold this much memory. Raises ValueError when the machine has not that much to spare."""
        self._free()
        memory = psutil.virtual_memory()
        spare = memory.available - _KEEP_FREE * memory.total
        wanted = megabytes * 1_000_000
        if wanted > spare:
            raise ValueError(f"the machine has only {max(spare, 0) / 1_000_000:.0f} MB to spare")
        held = self._memory
        try:
            while wanted > 0 and held is self._memory:  # else switched off meanwhile
                # Ones, because the system hands out pages of zeros without using memory for them.
                held.append(bytearray(b"\1") * min(_CHUNK, wanted))
                wanted -= _CHUNK
                await asyncio.sleep(0)
        finally:
            if held is self._memory:
                self._memory_until = self._clock() + lasting
                self._release = asyncio.get_running_loop().call_later(lasting, self._free)

    def _free(self) -> None:
        if self._release:
            self._release.cancel()
        self._release = None
        self._memory = []
        self._memory_until = 0.0

    async def delay(self) -> None:
        """Wait, while the switch `slow` is on."""
        seconds, until = self._slow
        if self._clock() < until:
            await asyncio.sleep(seconds)

    def strike(self) -> None:
        """Raise SwitchedOnError for exactly the chosen share of calls, while the switch `errors` is on."""
        ratio, until = self._errors
        if self._clock() >= until:
            return
        self._owed += ratio
        if self._owed >= 1 - 1e-9:  # ten times 0.1 is a little less than 1
            self._owed -= 1
            raise SwitchedOnError("the switch /faults/errors is on")


def faults_of(request: Request) -> Faults:
    """Return the application's switches."""
    faults: Faults = request.app.state.faults
    return faults


def _allowed(request: Request) -> None:
    if not request.app.state.settings.faults:
        raise HTTPException(403, "fault switches are off; start the demo with DEMO_FAULTS=1")
    if not (request.client and is_loopback(request.client.host)):
        raise HTTPException(403, "fault switches answer to this machine only")


Switches = Annotated[Faults, Depends(faults_of)]
Lasting = Annotated[float, Query(alias="for", gt=0, le=3600, description="Seconds until it goes off.")]


async def strike(faults: Switches) -> None:
    """Fail this request, if it is one that shall; for a route's dependencies."""
    faults.strike()


async def delay(faults: Switches) -> None:
    """Delay this request, if it shall be; for a route's dependencies."""
    await faults.delay()


router = APIRouter(prefix="/faults", dependencies=[Depends(_allowed)])


@router.get("")
async def show(faults: Switches) -> dict[str, Any]:
    """What is on."""
    return faults.state()


@router.delete("")
async def all_off(faults: Switches) -> dict[str, Any]:
    """Switch all off."""
    faults.off()
    return faults.state()


@router.post("/slow")
async def slow(
    faults: Switches, seconds: Annotated[float, Query(gt=0, le=30)] = 3, lasting: Lasting = 60
) -> dict[str, Any]:
    """Make the product page slow."""
    faults.slow_down(seconds, lasting)
    return faults.state()


@router.post("/errors")
async def errors(
    faults: Switches, ratio: Annotated[float, Query(gt=0, le=1)] = 0.3, lasting: Lasting = 60
) -> dict[str, Any]:
    """Make a share of the shop's requests answer 500."""
    faults.fail(ratio, lasting)
    return faults.state()


@router.post("/memory")
async def memory(
    faults: Switches, megabytes: Annotated[int, Query(gt=0, le=1_000_000)] = 500, lasting: Lasting = 60
) -> dict[str, Any]:
    """Hold memory, every page of it in use."""
    try:
        await faults.take_memory(megabytes, lasting)
    except ValueError as error:
        raise HTTPException(409, str(error)) from None
    return faults.state()

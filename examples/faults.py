"""Switches that make the demo misbehave, so that its alerts can be seen; only with DEMO_FAULTS.

A switch is a small file in the folder that DEMO_FAULTS names, because all workers see the same files. A file
needs no server, so it works while Redis or Postgres is the thing that is down, and asking for one that is not
there costs microseconds. Each switch has its own file, written whole: two workers never undo each other's.
"""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
from fastapi import APIRouter, Depends, HTTPException, Query, Request

from examples.settings import is_loopback

_CHUNK = 64 * 1024 * 1024
_KEEP_FREE = 0.05  # of the machine's memory: enough for the alert at 90 %, and the machine stays usable
_LOOK_SECONDS = 0.1  # between two looks of a worker that holds memory: another may be asked to end that
_UNITS = {"slow": "seconds", "errors": "ratio", "memory": "megabytes"}


class SwitchedOnError(Exception):
    """The error that the switch `errors` makes."""


class Switch(NamedTuple):
    """A switch that is on: how much, until when (Unix time), and the worker that was asked."""

    amount: float
    until: float
    worker: int


class Faults:
    """The switches, the same ones in every worker with this folder. Each goes off by itself.

    Without a folder all are off for good. Raises OSError where the folder cannot be made.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._errors: Switch | None = None
        self._owed = 0.0
        self._keeping: set[asyncio.Task[None]] = set()
        if folder:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def state(self) -> dict[str, dict[str, float]]:
        """Return what is on, and for how many more seconds."""
        on = {name: switch for name in _UNITS if (switch := self._read(name))}
        if "memory" in on and not psutil.pid_exists(on["memory"].worker):
            del on["memory"]  # it went with its worker
        now = self._clock()
        return {
            name: {_UNITS[name]: switch.amount, "seconds_left": round(switch.until - now, 1)}
            for name, switch in on.items()
        }

    def off(self) -> None:
        """Switch all off; what holds memory gives it back within a moment."""
        for name in _UNITS:
            self._remove(name)

    def slow_down(self, seconds: float, lasting: float) -> None:
        """Make the product page wait."""
        self._write("slow", seconds, lasting)

    def fail(self, ratio: float, lasting: float) -> None:
        """Make this share of the shop's requests fail."""
        self._write("errors", ratio, lasting)

    async def take_memory(self, megabytes: int, lasting: float) -> None:
        """Hold memory, in this worker. Raises ValueError when the machine has not that much to spare."""
        self._remove("memory")
        if self._keeping:
            await asyncio.wait(self._keeping)
        memory = psutil.virtual_memory()
        spare = memory.available - _KEEP_FREE * memory.total
        if megabytes * 1_000_000 > spare:
            raise ValueError(f"the machine has only {max(spare, 0) / 1_000_000:.0f} MB to spare")
        switch = self._write("memory", megabytes, lasting)
        held: list[bytearray] = []
        wanted = megabytes * 1_000_000
        try:
            while wanted > 0 and self._read("memory") == switch:  # else switched off meanwhile
                # Ones, because the system hands out pages of zeros without using memory for them.
                held.append(bytearray(b"\1") * min(_CHUNK, wanted))
                wanted -= _CHUNK
                await asyncio.sleep(0)
        finally:
            task = asyncio.create_task(self._keep(held, switch))
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)

    async def _keep(self, held: list[bytearray], switch: Switch) -> None:
        while self._read("memory") == switch:  # noqa: ASYNC110 - no event comes from another worker
            await asyncio.sleep(_LOOK_SECONDS)
        held.clear()

    async def delay(self) -> None:
        """Wait, while the switch `slow` is on."""
        if slow := self._read("slow"):
            await asyncio.sleep(slow.amount)

    def strike(self) -> None:
        """Raise SwitchedOnError for exactly the chosen share of this worker's calls, while `errors` is on."""
        errors = self._read("errors")
        if errors != self._errors:
            self._errors, self._owed = errors, 0.0
        if errors is None:
            return
        self._owed += errors.amount
        if self._owed >= 1 - 1e-9:  # ten times 0.1 is a little less than 1
            self._owed -= 1
            raise SwitchedOnError("the switch /faults/errors is on")

    def _read(self, name: str) -> Switch | None:
        if self._folder is None:
            return None
        try:
            with open(f"{self._folder}/{name}", encoding="utf-8") as file:  # noqa: PTH123 - asked at each request
                amount, until, worker = file.read().split()
        except FileNotFoundError:
            return None
        switch = Switch(float(amount), float(until), int(worker))
        return switch if self._clock() < switch.until else None

    def _write(self, name: str, amount: float, lasting: float) -> Switch:
        switch = Switch(float(amount), self._clock() + lasting, os.getpid())
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as file:
            file.write(" ".join(map(repr, switch)))
        Path(file.name).replace(f"{self._folder}/{name}")
        return switch

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{self._folder}/{name}").unlink()


def faults_of(request: Request) -> Faults:
    """Return the application's switches."""
    faults: Faults = request.app.state.faults
    return faults


def _allowed(request: Request) -> None:
    if not request.app.state.settings.faults:
        raise HTTPException(403, "fault switches are off; start the demo with DEMO_FAULTS=/a/folder/for/them")
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

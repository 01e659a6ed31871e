"""Calls that may hang for ever, each in a thread of its own, so that they hold up nobody."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Generic, TypeVar

from exporter.collectors import Keep

T = TypeVar("T")
Answer = Future[T | BaseException]  # errors are results: asyncio complains of those that nobody fetches
Job = tuple[str, Callable[[], None]]

_IDLE = "host, idle"
# A call that takes longer may hang: those behind it go on without it.
_TURN_SECONDS = 0.05


class Threads:
    """One daemon thread that takes the calls in turn, and more as soon as one of them hangs.

    Not the loop's pool: that is waited for at exit, and a call that hangs would hold it for ever. And not
    a thread for each call: on a page that takes milliseconds, their changing places would cost the most.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._lock = threading.Lock()

    def call(self, name: str, work: Callable[[], T]) -> Answer[T]:
        """Queue `work` and return what will hold its result, or its error as a result."""
        answer: Answer[T] = Future()

        def job() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_result(error)

        self._jobs.put((name, job))
        if not self._threads:
            self._start()
        return answer

    def hurry(self) -> None:
        """Start another thread when calls are waiting for their turn: some call before them may hang."""
        if not self._jobs.empty():
            self._start()

    async def close(self) -> None:
        """Let the threads end; one that hangs ends when its call does."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _start(self) -> None:
        with self._lock:
            self._threads += 1
        threading.Thread(target=self._serve, name=_IDLE, daemon=True).start()

    def _serve(self) -> None:
        while job := self._jobs.get():
            threading.current_thread().name, work = job
            work()
            threading.current_thread().name = _IDLE
            del job, work  # they hold what the call was about
            with self._lock:
                if self._threads > 1 and self._jobs.empty():
                    self._threads -= 1
                    return


class Asked(Generic[T]):
    """Questions by name; one that still owes an answer from an earlier run is not asked again."""

    def __init__(self, keep: Keep) -> None:
        self._threads = keep.shared("host threads", Threads, Threads.close)
        self._owed: dict[str, Answer[T]] = {}

    async def ask(
        self, questions: Mapping[str, Callable[[], T]], patience: float | None = None
    ) -> dict[str, T | BaseException]:
        """Return the answers, or errors, that come within `patience` seconds; None waits for all."""
        self._owed = {name: answer for name, answer in self._owed.items() if not answer.done()}
        asked = {
            name: self._threads.call(name, work) for name, work in questions.items() if name not in self._owed
        }
        self._owed.update(asked)  # before the wait: a run that is cancelled in it must not ask anew next time
        waits: set[asyncio.Future[T | BaseException]] = {asyncio.wrap_future(each) for each in asked.values()}
        end = time.monotonic() + (float("inf") if patience is None else patience)
        while waits and (left := end - time.monotonic()) > 0:
            _, waits = await asyncio.wait(waits, timeout=min(left, _TURN_SECONDS))
            if waits:
                self._threads.hurry()
        return {name: self._owed.pop(name).result() for name, answer in asked.items() if answer.done()}


async def apart(name: str, keep: Keep, work: Callable[[], T]) -> T:
    """Return what `work` gives, from another thread. Raises TimeoutError while an earlier call hangs."""
    asked: Asked[T] = keep.remember(f"asked {name}", lambda: Asked(keep))
    answer = (await asked.ask({name: work})).get(name, TimeoutError(f"{name}: an earlier run still waits"))
    if isinstance(answer, BaseException):
        raise answer
    return answer

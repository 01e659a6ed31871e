"""Takes lines from the application's threads and writes them in one of its own."""

import atexit
import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakSet

from exporter.instrument.logs.classes import KEPT
from exporter.instrument.logs.line import Line
from exporter.instrument.logs.sink import Sink

# Lines are gathered for so long before they are written: waking the thread for each one costs more than
# writing it. A process that is killed loses what came in that time.
GATHER_SECONDS = 0.01
FLUSH_SECONDS = 5.0
_BATCH = 256
# So many audit and security lines wait while their place cannot be written to.
_MOST_HELD = 10_000
_COMPLAIN_SECONDS = 60.0

_all: "WeakSet[Writer]" = WeakSet()


class Writer:
    """A bounded queue, and the thread that empties it.

    Lines that find the queue full are dropped, and `dropped` is told their class, except audit and security:
    these never go through the queue, but are written before `put` returns. While that fails they are held,
    and written as soon as it is possible again. The thread begins with the first line, in a forked process
    anew.
    """

    def __init__(
        self,
        format_: Callable[[Line], bytes],
        sink: Sink,
        limit: int,
        dropped: Callable[[str], None] = lambda log_class: None,
    ) -> None:
        self._format = format_
        self._sink = sink
        self._limit = limit
        self._dropped = dropped
        self._closed = False
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._queue: SimpleQueue[Line | threading.Event | None] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._held: deque[tuple[str, bytes]] = deque()
        self._complained = 0.0

    def put(self, line: Line) -> None:
        """Write the line soon, or at once where it must not be lost. Never raises, seldom waits."""
        if line.log_class in KEPT or self._closed:
            self._write([line])
        elif self._queue.qsize() >= self._limit:
            self._dropped(line.log_class)
        else:
            self._queue.put(line)
            if self._thread is None:
                self._start()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all lines so far are written; False when that took too long."""
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            self._drain()
            return True
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        return done.wait(seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Write all lines; later ones are written by those who log them."""
        self._closed = True
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            self._queue.put(None)
            self._hurry.set()
            thread.join(seconds)
            if thread.is_alive():  # it hangs in a write; what it has is lost with the process
                return
        self._drain()

    def open(self) -> None:
        """Use the queue again after `close`."""
        if self._closed:
            self._closed, self._thread = False, None
            self._hurry.clear()

    def after_fork(self) -> None:
        """Leave the waiting lines to the parent, which writes them."""
        self._sink.after_fork()
        self._begin()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="watchkeeper-logs", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or there are too many threads
                self._drain()
                return
            self._thread = thread
            _at_exit(self.close)

    def _run(self) -> None:
        queue = self._queue
        while True:
            first = queue.get()
            if isinstance(first, Line):
                self._hurry.wait(GATHER_SECONDS)
            if not self._batch(first):
                return

    def _batch(self, first: Any) -> bool:
        """Write what waits, up to a number of lines; False at the end of all."""
        self._hurry.clear()
        lines: list[Line] = []
        events: list[threading.Event] = []
        going_on = True
        with contextlib.suppress(Empty):
            each = first
            while True:
                if isinstance(each, Line):
                    lines.append(each)
                elif each is None:
                    going_on = False
                else:
                    events.append(each)
                if len(lines) >= _BATCH:
                    break
                each = self._queue.get_nowait()
        self._write(lines, politely=True)
        for event in events:
            event.set()
        if not going_on:
            self._drain()
        return going_on

    def _drain(self) -> None:
        """Write what waits from this very thread."""
        while True:
            try:
                self._batch(self._queue.get_nowait())
            except Empty:
                self._write([])
                return

    def _write(self, lines: list[Line], politely: bool = False) -> None:
        written: list[tuple[str, bytes]] = []
        for number, line in enumerate(lines):
            try:
                written.append((line.log_class, self._format(line)))
            except Exception:
                self._dropped(line.log_class)
            if politely and number % 8 == 7:
                time.sleep(0)  # let the event loop have the interpreter
        while self._held:
            written.insert(0, self._held.pop())
        if not written:
            return
        try:
            self._sink.write(b"".join([data for _, data in written]))
        except Exception as error:
            self._failed(written, error)

    def _failed(self, written: list[tuple[str, bytes]], error: Exception) -> None:
        for log_class, data in written:
            if log_class in KEPT and len(self._held) < _MOST_HELD:
                self._held.append((log_class, data))
            else:
                self._dropped(log_class)
        now = time.monotonic()
        if not self._complained or now - self._complained > _COMPLAIN_SECONDS:
            self._complained = now
            with contextlib.suppress(Exception):
                print(f"watchkeeper: log lines cannot be written: {error}", file=sys.stderr)  # noqa: T201 - where else


def _at_exit(close: Callable[[], None]) -> None:
    atexit.unregister(close)
    atexit.register(close)
    # Children of multiprocessing end without atexit.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, close, exitpriority=0)


def _after_fork_in_child() -> None:
    for writer in list(_all):
        writer.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Where lines go: standard output, a file, or a stream. A line is written whole or not at all."""

import contextlib
import fcntl
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

# Who reads standard output may be slow for a moment; beyond this a line counts as lost.
WAIT_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0


class Sink(Protocol):
    """What the writer needs. `write` raises OSError when the lines could not be written."""

    def write(self, data: bytes) -> None: ...
    def after_fork(self) -> None: ...


class Descriptor:
    """An open file descriptor that several processes may share, such as standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Workers share one pipe, which keeps short writes apart and no long ones.
        self._shared_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._lock = threading.RLock()  # a destructor may log while this thread writes
        self._torn = False  # whether the last line is there in part

    def write(self, data: bytes) -> None:
        with self._lock:
            self._prepare()
            locked = self._shared_pipe and _locked(self._descriptor)
            try:
                self._write_all(b"\n" + data if self._torn else data)
            finally:
                if locked:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def after_fork(self) -> None:
        self._lock = threading.RLock()

    def _prepare(self) -> None:
        """Nothing: the descriptor stays what it is."""

    def _write_all(self, data: bytes) -> None:
        rest, deadline = memoryview(data), 0.0
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever made this pipe does not want writers to wait in the kernel
                now = time.monotonic()
                deadline = deadline or now + WAIT_SECONDS
                if now > deadline:
                    self._torn = len(rest) < len(data) or self._torn
                    raise
                select.select([], [self._descriptor], [], deadline - now)
            except OSError:
                self._torn = len(rest) < len(data) or self._torn
                raise
        self._torn = False


class File(Descriptor):
    """A file that several processes may append to. Moved away or removed, it is made anew.

    Beyond `max_bytes` it is renamed to `<name>.1`, in the place of an earlier one. Raises OSError when it
    cannot be opened.
    """

    def __init__(self, path: Path, max_bytes: int = 0) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._look_at = 0.0
        super().__init__(self._opened())

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, 0o640)

    def _prepare(self) -> None:
        """Now and then, find out whether somebody, or this very process, has to begin a new file."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_AGAIN_SECONDS
        if self._max_bytes and os.fstat(self._descriptor).st_size > self._max_bytes:
            # One of the workers renames; the others find another file at the path.
            with contextlib.suppress(OSError), _exclusive(self._descriptor):
                if self._is_at_its_path():
                    self._path.replace(f"{self._path}.1")
        if not self._is_at_its_path():
            fresh = self._opened()
            os.dup2(fresh, self._descriptor, inheritable=False)
            os.close(fresh)

    def _is_at_its_path(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


class Stream:
    """A text stream without a descriptor of its own, as tests and notebooks put in place of stdout."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data.decode())
            self._stream.flush()
        except ValueError as error:  # it has been closed
            raise OSError(str(error)) from error

    def after_fork(self) -> None:
        """Nothing: it has no lock."""


def of_stdout() -> Sink:
    """Return the sink for standard output as it is now."""
    try:
        return Descriptor(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return Stream(sys.stdout or sys.__stdout__)


def _locked(descriptor: int) -> bool:
    """Lock against the other processes; give up after a while, for one may have been stopped in its write."""
    deadline = time.monotonic() + 1.0
    while True:
        try:
            # By process: other locks would be shared with forked workers.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        except OSError:  # nothing that can be locked
            return False
        else:
            return True


@contextlib.contextmanager
def _exclusive(descriptor: int) -> Iterator[None]:
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)

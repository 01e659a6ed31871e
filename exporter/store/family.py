"""Which processes count together: the workers of one server, found without configuration.

Servers start workers in two ways. A fork without exec keeps the memory layout that the kernel chose at
random when the program was started, so a process and its parent with the same layout are one program. A
process that multiprocessing spawned says so in its command line, and knows its parent. Following both
upwards ends at the process that a person or a service manager started: the root. All processes with the
same root are a family, and share a folder; two applications have two roots and never meet.
"""

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_MEMORY = "/dev/shm"  # noqa: S108 - what we find there is checked
# A folder may be made just before its first file is; younger ones are left alone.
_YOUNG_SECONDS = 60.0


# What gunicorn calls its processes where setproctitle is installed.
_TITLE = b"gunicorn: "
# How multiprocessing starts a program for a child, and the one that forks its children.
_SPAWNED = (b"--multiprocessing-fork", b"from multiprocessing.forkserver import main")


class Process(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: str


class _Stat(NamedTuple):
    parent: int
    session: int
    started: str
    layout: tuple[bytes, ...]


def root() -> Process:
    """Return the process that this one and its siblings come from; itself when it has none."""
    pid = os.getpid()
    # Not set while a child imports its parent's main module; the climb below goes the same way then.
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid and _stat(parent.pid):
        pid = parent.pid
    seen = {pid}
    while (up := _same_program_above(pid)) and up not in seen:
        seen.add(up)
        pid = up
    here = _stat(pid)
    return Process(pid, here.started if here else "")


def folder() -> Path:
    """Return this family's folder, made and private to the user. Raises OSError where none can be had."""
    base = _base()
    first = root()
    path = base / f"{_namespace()}-{first.pid}-{first.started}"
    path.mkdir(mode=0o700, exist_ok=True)
    _sweep(base, path)
    return path


def alive(process: Process) -> bool:
    """Whether this very process still runs."""
    now = _stat(process.pid)
    return now is not None and now.started == process.started


def locked(path: Path) -> bool:
    """Whether a living process holds the lock on this file. The kernel drops it with the process."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _base() -> Path:
    """Memory before disk: no write-back ever delays a request, and a reboot starts clean."""
    # Asked in turn: where nothing but /dev/shm can be written, gettempdir() raises OSError.
    places: tuple[Callable[[], str], ...] = (lambda: _MEMORY, tempfile.gettempdir)
    for place in places:
        with contextlib.suppress(OSError):
            base = Path(place()) / f"watchkeeper-{os.getuid()}"
            base.mkdir(mode=0o700, exist_ok=True)
            found = base.lstat()
            # Others may write in these places, so a folder of another user or a link is not ours.
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and os.access(base, os.W_OK):
                return base
    raise OSError("no folder for the workers' files")


def _sweep(base: Path, own: Path) -> None:
    """Remove the folders of families that are gone."""
    for other in base.iterdir():
        with contextlib.suppress(OSError, ValueError):
            if other == own or time.time() - other.stat().st_mtime < _YOUNG_SECONDS:
                continue
            namespace, pid, started = other.name.rsplit("-", 2)
            if namespace == _namespace() and alive(Process(int(pid), started)):
                continue
            if not any(locked(file) for file in other.iterdir()):
                shutil.rmtree(other)


def _namespace() -> str:
    """Containers may share a folder and number their processes alike."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return sys.platform


def _same_program_above(pid: int) -> int:
    """Return the parent when it is the same running program, forked or spawned for a part of it; else 0."""
    here = _stat(pid)
    if here is None or here.parent <= 0:
        return 0
    above = _stat(here.parent)
    if above is None:
        return 0
    mine, theirs = _command(pid), _command(here.parent)
    if any(sign in mine for sign in _SPAWNED):
        # An orphan's parent is init, which has a session of its own.
        return here.parent if above.session == here.session else 0
    if all(above.layout) and all(here.layout):
        return here.parent if above.layout == here.layout else 0
    # The layout of another user's process is hidden: a master as root with workers that are not.
    same = mine == theirs or (mine.startswith(_TITLE) and theirs.startswith(_TITLE))
    return here.parent if mine and same else 0


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    # proc(5): ppid is field 4, session 6, starttime 22, startcode 26, startstack 28; `fields` begins
    # with field 3. What is hidden reads as 0 or 1.
    layout = tuple(b"" if value in (b"0", b"1") else value for value in (fields[23], fields[25]))
    return _Stat(int(fields[1]), int(fields[3]), fields[19].decode(), layout)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

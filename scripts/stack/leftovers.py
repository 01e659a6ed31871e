"""What a program of ours may leave when it is gone: workers that it did not stop, and their shared memory."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")
PLACES = ("/dev/shm", tempfile.gettempdir())  # noqa: S108 - where the store has its folders


def orphans(pid: int, started: float) -> list[psutil.Process]:
    """Processes of the session that a program led which is gone: nobody else stops them.

    The kernel gives its number to nobody while they live; so they are strangers where somebody has it.
    """
    if psutil.pid_exists(pid):
        return []
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == pid and process.create_time() > started - 1 and runs(process):
                found.append(process)
    return found


def runs(process: psutil.Process) -> bool:
    """Whether it does; one that only waits for its parent to notice its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until none of them runs any more, at most so long."""
    deadline = time.monotonic() + seconds
    while any(map(runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)


def kill(processes: list[psutil.Process]) -> None:
    """End them at once, and wait for it."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait(processes, seconds=2)


def forget_numbers(pid: int, started: float) -> None:
    """Remove the folder in which the workers of a program that is gone shared their numbers.

    Its name ends with the program's number and when it was started, in ticks since the machine's start
    (exporter/store/family.py). The next instrumented program would remove it as well.
    """
    for place in PLACES:
        for folder in Path(place).glob(f"watchkeeper-{os.getuid()}/*-{pid}-*"):
            ticks = folder.name.rpartition("-")[2]
            if ticks.isdecimal() and abs(psutil.boot_time() + int(ticks) / _TICKS - started) < 1:
                shutil.rmtree(folder, ignore_errors=True)

"""What processes use: CPU time and memory, read from /proc, with the children of servers that fork."""

import os
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return CPU seconds of a process and of its children, also of those that have ended."""
    return (_own_ticks(pid) + _ended_ticks(pid) + sum(_own_ticks(child) for child in children(pid))) * (
        TICK_SECONDS
    )


def resident_bytes(pid: int) -> int:
    """Return the bytes that a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the process ids of the children that live."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended; its parent's sum has its time
        return ["0"] * 20


def _own_ticks(pid: int) -> int:
    return int(_fields(pid)[11]) + int(_fields(pid)[12])


def _ended_ticks(pid: int) -> int:
    return int(_fields(pid)[13]) + int(_fields(pid)[14])

"""The processes of the application themselves: all workers together, under the client libraries' names."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from exporter.catalog import Metric, Records, Sample
from exporter.store import family

_ORIGIN = "client library"

CPU = Metric(
    "process_cpu_seconds_total",
    "counter",
    "CPU time that the application's processes have used.",
    origin=_ORIGIN,
)
RESIDENT = Metric(
    "process_resident_memory_bytes", "gauge", "Memory that the application's processes hold.", origin=_ORIGIN
)
VIRTUAL = Metric(
    "process_virtual_memory_bytes",
    "gauge",
    "Addresses that the application's processes have reserved.",
    origin=_ORIGIN,
)
OPEN_FILES = Metric(
    "process_open_fds",
    "gauge",
    "File descriptors that the application's processes have open.",
    origin=_ORIGIN,
)
MAX_FILES = Metric(
    "process_max_fds",
    "gauge",
    "File descriptors that the application's processes may have open.",
    origin=_ORIGIN,
)
START = Metric(
    "process_start_time_seconds",
    "gauge",
    "When the application was started, as Unix time; a worker that is replaced does not change it.",
    origin=_ORIGIN,
    merge="max",
)

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Reads this process for its part of the sums."""

    def __init__(self, store: Records, proc: Path = Path("/proc")) -> None:
        self._store = store
        self._proc = proc
        self._pid = 0
        self._counted = 0.0

    def read(self) -> Iterator[Sample]:
        """Yield the gauges, and count the CPU time used since the last call."""
        if self._pid != os.getpid():  # forked: what the parent used is the parent's
            self._pid, self._counted = os.getpid(), 0.0
        fields = (self._proc / "self/stat").read_bytes().rpartition(b") ")[2].split()
        # proc(5): utime is field 14, stime 15, vsize 23, rss 24; `fields` begins with field 3.
        used = (int(fields[11]) + int(fields[12])) / _TICKS
        CPU.on(self._store).inc(max(used - self._counted, 0))
        self._counted = used
        yield VIRTUAL.sample(int(fields[20]))
        yield RESIDENT.sample(int(fields[21]) * _PAGE)
        yield OPEN_FILES.sample(len(list((self._proc / "self/fd").iterdir())))
        yield MAX_FILES.sample(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        yield START.sample(self._started())

    def _started(self) -> float:
        first = family.root()
        for line in (self._proc / "stat").read_text().splitlines():
            if line.startswith("btime "):
                return int(line.split()[1]) + int(first.started or 0) / _TICKS
        return 0.0

"""Load, tasks, open files, paging, pressure, and the times of the machine."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from exporter.catalog import Metric, Sample

LOAD1 = Metric("node_load1", "gauge", "Tasks that run or wait, mean of one minute.", origin="node_exporter")
LOAD5 = Metric("node_load5", "gauge", "Tasks that run or wait, mean of five minutes.", origin="node_exporter")
LOAD15 = Metric(
    "node_load15", "gauge", "Tasks that run or wait, mean of fifteen minutes.", origin="node_exporter"
)
BOOT_TIME = Metric(
    "node_boot_time_seconds", "gauge", "When the machine started, as a Unix time.", origin="node_exporter"
)
TIME = Metric("node_time_seconds", "gauge", "The machine's clock, as a Unix time.", origin="node_exporter")
CONTEXT_SWITCHES = Metric(
    "node_context_switches_total",
    "counter",
    "Times that a processor went over to another task.",
    origin="node_exporter",
)
INTERRUPTS = Metric("node_intr_total", "counter", "Interrupts served.", origin="node_exporter")
FORKS = Metric("node_forks_total", "counter", "Tasks started.", origin="node_exporter")
PROCS_RUNNING = Metric(
    "node_procs_running", "gauge", "Tasks that run or could run now.", origin="node_exporter"
)
PROCS_BLOCKED = Metric(
    "node_procs_blocked", "gauge", "Tasks that wait for a disk or another device.", origin="node_exporter"
)
FILEFD_ALLOCATED = Metric(
    "node_filefd_allocated", "gauge", "Files open in all programs.", origin="node_exporter"
)
FILEFD_MAXIMUM = Metric(
    "node_filefd_maximum", "gauge", "Files that may be open in all programs.", origin="node_exporter"
)
# node_exporter leaves the type of node_vmstat_* open ("untyped"); they only ever rise, so we say counter.
VMSTAT_PGFAULT = Metric(
    "node_vmstat_pgfault", "counter", "Page faults, small and major.", origin="node_exporter"
)
VMSTAT_PGMAJFAULT = Metric(
    "node_vmstat_pgmajfault",
    "counter",
    "Page faults that had to wait for a disk; many a second mean that memory is short.",
    origin="node_exporter",
)
VMSTAT_PGPGIN = Metric("node_vmstat_pgpgin", "counter", "Kibibytes read from disks.", origin="node_exporter")
VMSTAT_PGPGOUT = Metric(
    "node_vmstat_pgpgout", "counter", "Kibibytes written to disks.", origin="node_exporter"
)
VMSTAT_PSWPIN = Metric("node_vmstat_pswpin", "counter", "Pages read back from swap.", origin="node_exporter")
VMSTAT_PSWPOUT = Metric("node_vmstat_pswpout", "counter", "Pages moved to swap.", origin="node_exporter")
VMSTAT_OOM_KILL = Metric(
    "node_vmstat_oom_kill",
    "counter",
    "Programs that the kernel killed because memory had run out.",
    origin="node_exporter",
)
PRESSURE_CPU_WAITING = Metric(
    "node_pressure_cpu_waiting_seconds_total",
    "counter",
    "Seconds in which some task waited for a processor.",
    origin="node_exporter",
)
PRESSURE_MEMORY_WAITING = Metric(
    "node_pressure_memory_waiting_seconds_total",
    "counter",
    "Seconds in which some task waited for memory.",
    origin="node_exporter",
)
PRESSURE_MEMORY_STALLED = Metric(
    "node_pressure_memory_stalled_seconds_total",
    "counter",
    "Seconds in which all tasks waited for memory.",
    origin="node_exporter",
)
PRESSURE_IO_WAITING = Metric(
    "node_pressure_io_waiting_seconds_total",
    "counter",
    "Seconds in which some task waited for a disk.",
    origin="node_exporter",
)
PRESSURE_IO_STALLED = Metric(
    "node_pressure_io_stalled_seconds_total",
    "counter",
    "Seconds in which all tasks waited for a disk.",
    origin="node_exporter",
)
UNAME = Metric(
    "node_uname_info",
    "gauge",
    "Always 1; the labels name the machine and its kernel.",
    ("domainname", "machine", "nodename", "release", "sysname", "version"),
    origin="node_exporter",
)

_STAT = {
    "btime": BOOT_TIME,
    "ctxt": CONTEXT_SWITCHES,
    "intr": INTERRUPTS,
    "processes": FORKS,
    "procs_running": PROCS_RUNNING,
    "procs_blocked": PROCS_BLOCKED,
}
_VMSTAT = {
    "pgfault": VMSTAT_PGFAULT,
    "pgmajfault": VMSTAT_PGMAJFAULT,
    "pgpgin": VMSTAT_PGPGIN,
    "pgpgout": VMSTAT_PGPGOUT,
    "pswpin": VMSTAT_PSWPIN,
    "pswpout": VMSTAT_PSWPOUT,
    "oom_kill": VMSTAT_OOM_KILL,
}
_PRESSURE = {
    ("cpu", "some"): PRESSURE_CPU_WAITING,  # "all tasks wait for a processor" cannot be: one has it
    ("memory", "some"): PRESSURE_MEMORY_WAITING,
    ("memory", "full"): PRESSURE_MEMORY_STALLED,
    ("io", "some"): PRESSURE_IO_WAITING,
    ("io", "full"): PRESSURE_IO_STALLED,
}


def read(proc: Path, root: Path = Path("/")) -> Iterator[Sample]:
    """Yield what the kernel says of itself."""
    load = (proc / "loadavg").read_text().split()
    for metric, text in zip((LOAD1, LOAD5, LOAD15), load, strict=False):
        yield metric.sample(float(text))
    for file, fields in (("stat", _STAT), ("vmstat", _VMSTAT)):
        numbers = parse_fields((proc / file).read_text())
        for field, metric in fields.items():
            if field in numbers:
                yield metric.sample(numbers[field])
    allocated, _, maximum = (proc / "sys/fs/file-nr").read_text().split()
    yield FILEFD_ALLOCATED.sample(float(allocated))
    yield FILEFD_MAXIMUM.sample(float(maximum))
    for (resource, share), metric in _PRESSURE.items():
        # A kernel without pressure information has no file, or one that cannot be read.
        with contextlib.suppress(OSError):
            yield metric.sample(parse_pressure((proc / "pressure" / resource).read_text())[share])
    yield TIME.sample(time.time())
    system = os.uname()
    yield UNAME.sample(
        1,
        domainname=(proc / "sys/kernel/domainname").read_text().strip(),
        machine=system.machine,
        nodename=nodename(root),
        release=system.release,
        sysname=system.sysname,
        version=system.version,
    )


def nodename(root: Path) -> str:
    """Return the machine's name. In a container the kernel tells that of the container, by /proc as well."""
    file = root / "etc/hostname"
    if root != Path("/") and os.access(file, os.R_OK):
        lines = file.read_text().splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return names[0] if names else os.uname().nodename
    return os.uname().nodename


def parse_fields(text: str) -> dict[str, float]:
    """Return the first number of each line by the word before it."""
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.strip()}


def parse_pressure(text: str) -> dict[str, float]:
    """Return the total seconds of the lines `some` and `full`; the kernel gives microseconds."""
    lines = (line.split() for line in text.splitlines())
    return {share: int(rest[-1].removeprefix("total=")) / 1e6 for share, *rest in lines}

"""The machine where there is no /proc, as on macOS: what psutil can tell, under the same names."""

import os
import time
from collections.abc import Iterator
from typing import Any

import psutil

from exporter.catalog import Metric, Sample
from exporter.collectors.host import clock, cpu, disk, filesystem, kernel, memory, network

_MEMORY = {
    "total": memory.MEM_TOTAL,
    "available": memory.MEM_AVAILABLE,
    "free": memory.MEM_FREE,
    "active": memory.ACTIVE,
    "inactive": memory.INACTIVE,
}
_DISK: dict[str, tuple[Metric, float]] = {
    "read_count": (disk.READS_COMPLETED, 1),
    "write_count": (disk.WRITES_COMPLETED, 1),
    "read_bytes": (disk.READ_BYTES, 1),
    "write_bytes": (disk.WRITTEN_BYTES, 1),
    "read_time": (disk.READ_TIME, 1e3),
    "write_time": (disk.WRITE_TIME, 1e3),
    "busy_time": (disk.IO_TIME, 1e3),
}
_NETWORK = {
    "bytes_recv": network.RECEIVE_BYTES,
    "packets_recv": network.RECEIVE_PACKETS,
    "errin": network.RECEIVE_ERRS,
    "dropin": network.RECEIVE_DROP,
    "bytes_sent": network.TRANSMIT_BYTES,
    "packets_sent": network.TRANSMIT_PACKETS,
    "errout": network.TRANSMIT_ERRS,
    "dropout": network.TRANSMIT_DROP,
}


def basics() -> Iterator[Sample]:
    """Yield processors, memory, load, name and clock."""
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"):
            if (seconds := getattr(times, mode, None)) is not None:
                yield cpu.CPU_SECONDS.sample(seconds, cpu=str(number), mode=mode)
    for name, metric in _MEMORY.items():
        if (size := getattr(psutil.virtual_memory(), name, None)) is not None:
            yield metric.sample(size)
    swap = psutil.swap_memory()
    yield memory.SWAP_TOTAL.sample(swap.total)
    yield memory.SWAP_FREE.sample(swap.free)
    for metric, load in zip((kernel.LOAD1, kernel.LOAD5, kernel.LOAD15), psutil.getloadavg(), strict=True):
        yield metric.sample(load)
    yield kernel.BOOT_TIME.sample(psutil.boot_time())
    system = os.uname()
    yield kernel.UNAME.sample(
        1,
        domainname="(none)",
        machine=system.machine,
        nodename=system.nodename,
        release=system.release,
        sysname=system.sysname,
        version=system.version,
    )
    yield clock.TIME.sample(time.time())


def disks() -> Iterator[Sample]:
    """Yield the counters of each disk."""
    for device, numbers in (psutil.disk_io_counters(perdisk=True) or {}).items():
        yield from _each(_DISK, numbers, device)


def devices() -> Iterator[Sample]:
    """Yield the traffic of each network device, and its line."""
    for device, numbers in psutil.net_io_counters(pernic=True).items():
        yield from _each({name: (metric, 1) for name, metric in _NETWORK.items()}, numbers, device)
    for device, facts in psutil.net_if_stats().items():
        yield network.UP.sample(facts.isup, device=device)
        yield network.MTU.sample(facts.mtu, device=device)
        if facts.speed:  # in megabits
            yield network.SPEED.sample(facts.speed * 1e6 / 8, device=device)


def mounts() -> Iterator[filesystem.Mount]:
    """Yield the filesystems on disks."""
    for part in psutil.disk_partitions(all=False):
        options = part.opts.split(",")
        yield filesystem.Mount(part.device, part.mountpoint, part.fstype, "ro" in options)


def _each(metrics: dict[str, tuple[Metric, float]], numbers: Any, device: str) -> Iterator[Sample]:
    for name, (metric, divisor) in metrics.items():
        if (number := getattr(numbers, name, None)) is not None:
            yield metric.sample(number / divisor, device=device)

"""Memory and swap, as the kernel counts them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from exporter.catalog import Metric, Sample, declared


def _metric(name: str, help: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "gauge", help, origin="node_exporter")


MEM_TOTAL = _metric("node_memory_MemTotal_bytes", "Memory that the system can use.")
MEM_FREE = _metric("node_memory_MemFree_bytes", "Memory that nothing uses, not even a cache.")
MEM_AVAILABLE = _metric(
    "node_memory_MemAvailable_bytes", "Memory that programs can still get without swapping."
)
BUFFERS = _metric("node_memory_Buffers_bytes", "Memory that caches raw disk blocks.")
CACHED = _metric("node_memory_Cached_bytes", "Memory that caches files, shared memory included.")
SWAP_CACHED = _metric("node_memory_SwapCached_bytes", "Memory that is in swap as well.")
SWAP_TOTAL = _metric("node_memory_SwapTotal_bytes", "Size of all swap areas; 0 when there is none.")
SWAP_FREE = _metric("node_memory_SwapFree_bytes", "Swap that is not in use.")
ACTIVE = _metric("node_memory_Active_bytes", "Memory used of late; it is reclaimed last.")
INACTIVE = _metric("node_memory_Inactive_bytes", "Memory not used of late; it is reclaimed first.")
ACTIVE_ANON = _metric("node_memory_Active_anon_bytes", "Programs' own memory used of late.")
INACTIVE_ANON = _metric("node_memory_Inactive_anon_bytes", "Programs' own memory not used of late.")
ACTIVE_FILE = _metric("node_memory_Active_file_bytes", "File cache used of late.")
INACTIVE_FILE = _metric("node_memory_Inactive_file_bytes", "File cache not used of late.")
UNEVICTABLE = _metric("node_memory_Unevictable_bytes", "Memory that cannot be reclaimed.")
MLOCKED = _metric("node_memory_Mlocked_bytes", "Memory that programs have locked.")
ANON_PAGES = _metric("node_memory_AnonPages_bytes", "Programs' own memory that is mapped.")
MAPPED = _metric("node_memory_Mapped_bytes", "Files that are mapped into memory, such as libraries.")
SHMEM = _metric("node_memory_Shmem_bytes", "Shared memory and in-memory filesystems.")
DIRTY = _metric("node_memory_Dirty_bytes", "Memory that waits to be written to disk.")
WRITEBACK = _metric("node_memory_Writeback_bytes", "Memory that is being written to disk.")
SLAB = _metric("node_memory_Slab_bytes", "The kernel's own caches.")
S_RECLAIMABLE = _metric("node_memory_SReclaimable_bytes", "The kernel's caches that can be reclaimed.")
S_UNRECLAIM = _metric("node_memory_SUnreclaim_bytes", "The kernel's caches that cannot be reclaimed.")
KERNEL_STACK = _metric("node_memory_KernelStack_bytes", "Kernel stacks of all tasks.")
PAGE_TABLES = _metric("node_memory_PageTables_bytes", "Page tables of all programs.")
PERCPU = _metric("node_memory_Percpu_bytes", "Memory that the kernel keeps per processor.")
COMMIT_LIMIT = _metric(
    "node_memory_CommitLimit_bytes", "Memory that may be promised under strict overcommit."
)
COMMITTED_AS = _metric("node_memory_Committed_AS_bytes", "Memory that has been promised to programs.")
ANON_HUGE_PAGES = _metric("node_memory_AnonHugePages_bytes", "Programs' own memory in huge pages.")
HUGE_PAGES_TOTAL = _metric("node_memory_HugePages_Total", "Huge pages set aside, in pages.")
HUGE_PAGES_FREE = _metric("node_memory_HugePages_Free", "Huge pages set aside and not in use, in pages.")
HUGE_PAGE_SIZE = _metric("node_memory_Hugepagesize_bytes", "Size of one huge page.")

# node_exporter makes the name from the field: so the field finds its metric by name.
_BY_NAME = {metric.name: metric for metric in declared(sys.modules[__name__])}


def read(proc: Path) -> Iterator[Sample]:
    """Yield the declared fields that this kernel knows."""
    for name, value in parse((proc / "meminfo").read_text()).items():
        if metric := _BY_NAME.get(name):
            yield metric.sample(value)


def parse(meminfo: str) -> dict[str, float]:
    """Return all fields under node_exporter's names, in bytes, or in pages where the kernel gives no unit."""
    values = {}
    for line in meminfo.splitlines():
        field, number, *unit = line.split()
        name = "node_memory_" + re.sub(r"\((.*)\)", r"_\1", field.removesuffix(":"))
        values[f"{name}_bytes" if unit else name] = float(number) * (1024 if unit else 1)
    return values

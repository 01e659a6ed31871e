"""Memory and swap, as the kernel counts them."""

import re
import sys
from collections.abc import Iterator
from functools import cache

from exporter.catalog import Sample, declared
from exporter.collectors.host._metric import gauge
from exporter.collectors.host._tree import Tree

MEM_TOTAL = gauge("node_memory_MemTotal_bytes", "Memory that the system can use.")
MEM_FREE = gauge("node_memory_MemFree_bytes", "Memory that nothing uses, not even a cache.")
MEM_AVAILABLE = gauge(
    "node_memory_MemAvailable_bytes", "Memory that programs can still get without swapping."
)
BUFFERS = gauge("node_memory_Buffers_bytes", "Memory that caches raw disk blocks.")
CACHED = gauge("node_memory_Cached_bytes", "Memory that caches files, shared memory included.")
SWAP_CACHED = gauge("node_memory_SwapCached_bytes", "Memory that is in swap as well.")
SWAP_TOTAL = gauge("node_memory_SwapTotal_bytes", "Size of all swap areas; 0 when there is none.")
SWAP_FREE = gauge("node_memory_SwapFree_bytes", "Swap that is not in use.")
ACTIVE = gauge("node_memory_Active_bytes", "Memory used of late; it is reclaimed last.")
INACTIVE = gauge("node_memory_Inactive_bytes", "Memory not used of late; it is reclaimed first.")
ACTIVE_ANON = gauge("node_memory_Active_anon_bytes", "Programs' own memory used of late.")
INACTIVE_ANON = gauge("node_memory_Inactive_anon_bytes", "Programs' own memory not used of late.")
ACTIVE_FILE = gauge("node_memory_Active_file_bytes", "File cache used of late.")
INACTIVE_FILE = gauge("node_memory_Inactive_file_bytes", "File cache not used of late.")
UNEVICTABLE = gauge("node_memory_Unevictable_bytes", "Memory that cannot be reclaimed.")
MLOCKED = gauge("node_memory_Mlocked_bytes", "Memory that programs have locked.")
ANON_PAGES = gauge("node_memory_AnonPages_bytes", "Programs' own memory that is mapped.")
MAPPED = gauge("node_memory_Mapped_bytes", "Files that are mapped into memory, such as libraries.")
SHMEM = gauge("node_memory_Shmem_bytes", "Shared memory and in-memory filesystems.")
DIRTY = gauge("node_memory_Dirty_bytes", "Memory that waits to be written to disk.")
WRITEBACK = gauge("node_memory_Writeback_bytes", "Memory that is being written to disk.")
SLAB = gauge("node_memory_Slab_bytes", "The kernel's own caches.")
S_RECLAIMABLE = gauge("node_memory_SReclaimable_bytes", "The kernel's caches that can be reclaimed.")
S_UNRECLAIM = gauge("node_memory_SUnreclaim_bytes", "The kernel's caches that cannot be reclaimed.")
KERNEL_STACK = gauge("node_memory_KernelStack_bytes", "Kernel stacks of all tasks.")
PAGE_TABLES = gauge("node_memory_PageTables_bytes", "Page tables of all programs.")
PERCPU = gauge("node_memory_Percpu_bytes", "Memory that the kernel keeps per processor.")
COMMIT_LIMIT = gauge("node_memory_CommitLimit_bytes", "Memory that may be promised under strict overcommit.")
COMMITTED_AS = gauge("node_memory_Committed_AS_bytes", "Memory that has been promised to programs.")
ANON_HUGE_PAGES = gauge("node_memory_AnonHugePages_bytes", "Programs' own memory in huge pages.")
HUGE_PAGES_TOTAL = gauge("node_memory_HugePages_Total", "Huge pages set aside, in pages.")
HUGE_PAGES_FREE = gauge("node_memory_HugePages_Free", "Huge pages set aside and not in use, in pages.")
HUGE_PAGES_RSVD = gauge("node_memory_HugePages_Rsvd", "Huge pages promised and not yet in use, in pages.")
HUGE_PAGES_SURP = gauge("node_memory_HugePages_Surp", "Huge pages beyond those set aside, in pages.")
HUGE_PAGE_SIZE = gauge("node_memory_Hugepagesize_bytes", "Size of one huge page.")
HUGETLB = gauge("node_memory_Hugetlb_bytes", "Memory in huge pages of all sizes that are set aside.")
SHMEM_HUGE_PAGES = gauge("node_memory_ShmemHugePages_bytes", "Shared memory in huge pages.")
SHMEM_PMD_MAPPED = gauge("node_memory_ShmemPmdMapped_bytes", "The same, as far as it is mapped whole.")
FILE_HUGE_PAGES = gauge("node_memory_FileHugePages_bytes", "File cache in huge pages.")
FILE_PMD_MAPPED = gauge("node_memory_FilePmdMapped_bytes", "The same, as far as it is mapped whole.")
K_RECLAIMABLE = gauge("node_memory_KReclaimable_bytes", "All of the kernel's memory that can be reclaimed.")
SEC_PAGE_TABLES = gauge("node_memory_SecPageTables_bytes", "Page tables of virtual machines.")
NFS_UNSTABLE = gauge("node_memory_NFS_Unstable_bytes", "Sent to an NFS server that has not stored it yet.")
BOUNCE = gauge("node_memory_Bounce_bytes", "Copies for devices that cannot reach all memory.")
WRITEBACK_TMP = gauge("node_memory_WritebackTmp_bytes", "Memory being written by filesystems of programs.")
VMALLOC_TOTAL = gauge("node_memory_VmallocTotal_bytes", "Addresses for the kernel's large areas.")
VMALLOC_USED = gauge("node_memory_VmallocUsed_bytes", "Memory in the kernel's large areas.")
VMALLOC_CHUNK = gauge("node_memory_VmallocChunk_bytes", "Largest free piece of those addresses; 0 today.")
HARDWARE_CORRUPTED = gauge(
    "node_memory_HardwareCorrupted_bytes", "Memory taken out of use because it is broken."
)
ZSWAP = gauge("node_memory_Zswap_bytes", "Memory that holds swapped pages, pressed together.")
ZSWAPPED = gauge("node_memory_Zswapped_bytes", "How much these were before.")
BALLOON = gauge("node_memory_Balloon_bytes", "Memory that the virtual machine gave back to its host.")
CMA_TOTAL = gauge("node_memory_CmaTotal_bytes", "Memory set aside for devices in one piece.")
CMA_FREE = gauge("node_memory_CmaFree_bytes", "Of it, what no device uses.")
UNACCEPTED = gauge(
    "node_memory_Unaccepted_bytes", "Memory that a protected virtual machine has not taken yet."
)
DIRECT_MAP_4K = gauge("node_memory_DirectMap4k_bytes", "Memory that the kernel maps in pages of 4 KiB.")
DIRECT_MAP_2M = gauge("node_memory_DirectMap2M_bytes", "Memory that the kernel maps in pages of 2 MiB.")
DIRECT_MAP_4M = gauge("node_memory_DirectMap4M_bytes", "Memory that the kernel maps in pages of 4 MiB.")
DIRECT_MAP_1G = gauge("node_memory_DirectMap1G_bytes", "Memory that the kernel maps in pages of 1 GiB.")

# node_exporter makes the name from the field: so the field finds its metric by name.
_BY_NAME = {metric.name: metric for metric in declared(sys.modules[__name__])}


def read(tree: Tree) -> Iterator[Sample]:
    """Yield the declared fields that this kernel knows."""
    for name, value in parse(tree.proc("meminfo")).items():
        if metric := _BY_NAME.get(name):
            yield Sample(metric, (), value)


def parse(meminfo: str) -> dict[str, float]:
    """Return all fields under node_exporter's names, in bytes, or in pages where the kernel gives no unit."""
    values = {}
    for line in meminfo.splitlines():
        field, number, *unit = line.split()
        values[_name(field, bool(unit))] = float(number) * (1024 if unit else 1)
    return values


@cache
def _name(field: str, in_bytes: bool) -> str:
    name = "node_memory_" + re.sub(r"\((.*)\)", r"_\1", field.removesuffix(":"))
    return f"{name}_bytes" if in_bytes else name

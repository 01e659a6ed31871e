"""Paging: what had to be fetched from disk or swap, and programs killed for want of memory."""

import re
from collections.abc import Iterator

from exporter.catalog import Sample
from exporter.collectors.host._metric import untyped
from exporter.collectors.host._tree import Tree

PGFAULT = untyped("node_vmstat_pgfault", "Page faults, small and major.")
PGMAJFAULT = untyped(
    "node_vmstat_pgmajfault",
    "Page faults that had to wait for a disk; many a second mean that memory is short.",
)
PGPGIN = untyped("node_vmstat_pgpgin", "Kibibytes read from disks.")
PGPGOUT = untyped("node_vmstat_pgpgout", "Kibibytes written to disks.")
PSWPIN = untyped("node_vmstat_pswpin", "Pages read back from swap.")
PSWPOUT = untyped("node_vmstat_pswpout", "Pages moved to swap.")
OOM_KILL = untyped("node_vmstat_oom_kill", "Programs that the kernel killed because memory had run out.")

_FIELDS = {
    metric.name.removeprefix("node_vmstat_"): metric
    for metric in (PGFAULT, PGMAJFAULT, PGPGIN, PGPGOUT, PSWPIN, PSWPOUT, OOM_KILL)
}

_WANTED = re.compile(rf"^({'|'.join(_FIELDS)}) (\d+)$", re.MULTILINE)  # 7 of some 180 lines


def read(tree: Tree) -> Iterator[Sample]:
    """Yield the fields that this kernel counts."""
    for field, number in _WANTED.findall(tree.maybe("vmstat")):
        yield Sample(_FIELDS[field], (), int(number))

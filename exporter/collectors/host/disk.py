"""Reading and writing of each disk."""

import re
from collections.abc import Iterator

from exporter.catalog import Sample
from exporter.collectors.host._metric import counter, gauge
from exporter.collectors.host._tree import Tree

READS_COMPLETED = counter("node_disk_reads_completed_total", "Reads that finished.", "device")
READS_MERGED = counter("node_disk_reads_merged_total", "Reads that were joined with a neighbour.", "device")
READ_BYTES = counter("node_disk_read_bytes_total", "Bytes read.", "device")
READ_TIME = counter(
    "node_disk_read_time_seconds_total",
    "Seconds spent by all reads together; divided by reads it is the mean time of one.",
    "device",
)
WRITES_COMPLETED = counter("node_disk_writes_completed_total", "Writes that finished.", "device")
WRITES_MERGED = counter(
    "node_disk_writes_merged_total", "Writes that were joined with a neighbour.", "device"
)
WRITTEN_BYTES = counter("node_disk_written_bytes_total", "Bytes written.", "device")
WRITE_TIME = counter(
    "node_disk_write_time_seconds_total",
    "Seconds spent by all writes together; divided by writes it is the mean time of one.",
    "device",
)
IO_NOW = gauge("node_disk_io_now", "Reads and writes under way.", "device")
IO_TIME = counter(
    "node_disk_io_time_seconds_total",
    "Seconds in which the disk had work; its rate is the share of time that the disk was busy.",
    "device",
)
IO_TIME_WEIGHTED = counter(
    "node_disk_io_time_weighted_seconds_total",
    "Seconds of work times the requests waiting; its rate is the mean length of the queue.",
    "device",
)
DISCARDS_COMPLETED = counter(
    "node_disk_discards_completed_total", "Discards (of blocks that a file no longer needs) done.", "device"
)
DISCARDS_MERGED = counter(
    "node_disk_discards_merged_total", "Discards that were joined with a neighbour.", "device"
)
DISCARDED_SECTORS = counter("node_disk_discarded_sectors_total", "Sectors of 512 bytes discarded.", "device")
DISCARD_TIME = counter(
    "node_disk_discard_time_seconds_total", "Seconds spent by all discards together.", "device"
)
FLUSHES = counter("node_disk_flush_requests_total", "Times that the disk wrote out its own cache.", "device")
FLUSH_TIME = counter(
    "node_disk_flush_requests_time_seconds_total", "Seconds spent by all these together.", "device"
)

_SECTOR = 512  # bytes; /proc/diskstats counts in these whatever the disk's own sector is
_MS = 1000
# In the kernel's order; what the number is multiplied with, then divided by. Old kernels have fewer.
_FIELDS = (
    (READS_COMPLETED, 1, 1),
    (READS_MERGED, 1, 1),
    (READ_BYTES, _SECTOR, 1),
    (READ_TIME, 1, _MS),
    (WRITES_COMPLETED, 1, 1),
    (WRITES_MERGED, 1, 1),
    (WRITTEN_BYTES, _SECTOR, 1),
    (WRITE_TIME, 1, _MS),
    (IO_NOW, 1, 1),
    (IO_TIME, 1, _MS),
    (IO_TIME_WEIGHTED, 1, _MS),
    (DISCARDS_COMPLETED, 1, 1),
    (DISCARDS_MERGED, 1, 1),
    (DISCARDED_SECTORS, 1, 1),
    (DISCARD_TIME, 1, _MS),
    (FLUSHES, 1, 1),
    (FLUSH_TIME, 1, _MS),
)


def read(tree: Tree, exclude: re.Pattern[str]) -> Iterator[Sample]:
    """Yield the counters of every disk whose name does not match `exclude`."""
    for device, numbers in parse(tree.proc("diskstats")).items():
        if not exclude.search(device):
            for (metric, factor, divisor), number in zip(_FIELDS, numbers, strict=False):
                yield Sample(metric, (device,), number * factor / divisor)


def parse(diskstats: str) -> dict[str, list[int]]:
    """Return the numbers of each disk in the kernel's order."""
    lines = (line.split() for line in diskstats.splitlines())
    return {device: [int(number) for number in numbers] for _, _, device, *numbers in lines}

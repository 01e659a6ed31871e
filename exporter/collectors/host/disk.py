"""Reading and writing of each disk."""

import re
from collections.abc import Iterator
from pathlib import Path

from exporter.catalog import Metric, Sample

READS_COMPLETED = Metric(
    "node_disk_reads_completed_total", "counter", "Reads that finished.", ("device",), origin="node_exporter"
)
READS_MERGED = Metric(
    "node_disk_reads_merged_total",
    "counter",
    "Reads that were joined with a neighbour.",
    ("device",),
    origin="node_exporter",
)
READ_BYTES = Metric(
    "node_disk_read_bytes_total", "counter", "Bytes read.", ("device",), origin="node_exporter"
)
READ_TIME = Metric(
    "node_disk_read_time_seconds_total",
    "counter",
    "Seconds spent by all reads together; divided by reads it is the mean time of one.",
    ("device",),
    origin="node_exporter",
)
WRITES_COMPLETED = Metric(
    "node_disk_writes_completed_total",
    "counter",
    "Writes that finished.",
    ("device",),
    origin="node_exporter",
)
WRITES_MERGED = Metric(
    "node_disk_writes_merged_total",
    "counter",
    "Writes that were joined with a neighbour.",
    ("device",),
    origin="node_exporter",
)
WRITTEN_BYTES = Metric(
    "node_disk_written_bytes_total", "counter", "Bytes written.", ("device",), origin="node_exporter"
)
WRITE_TIME = Metric(
    "node_disk_write_time_seconds_total",
    "counter",
    "Seconds spent by all writes together; divided by writes it is the mean time of one.",
    ("device",),
    origin="node_exporter",
)
IO_NOW = Metric(
    "node_disk_io_now", "gauge", "Reads and writes under way.", ("device",), origin="node_exporter"
)
IO_TIME = Metric(
    "node_disk_io_time_seconds_total",
    "counter",
    "Seconds in which the disk had work; its rate is the share of time that the disk was busy.",
    ("device",),
    origin="node_exporter",
)
IO_TIME_WEIGHTED = Metric(
    "node_disk_io_time_weighted_seconds_total",
    "counter",
    "Seconds of work times the requests waiting; its rate is the mean length of the queue.",
    ("device",),
    origin="node_exporter",
)

_SECTOR = 512  # bytes; /proc/diskstats counts in these whatever the disk's own sector is
_MS = 0.001
_FIELDS = (
    (READS_COMPLETED, 1),
    (READS_MERGED, 1),
    (READ_BYTES, _SECTOR),
    (READ_TIME, _MS),
    (WRITES_COMPLETED, 1),
    (WRITES_MERGED, 1),
    (WRITTEN_BYTES, _SECTOR),
    (WRITE_TIME, _MS),
    (IO_NOW, 1),
    (IO_TIME, _MS),
    (IO_TIME_WEIGHTED, _MS),
)


def read(proc: Path, exclude: re.Pattern[str]) -> Iterator[Sample]:
    """Yield the counters of every disk whose name does not match `exclude`."""
    for device, numbers in parse((proc / "diskstats").read_text()).items():
        if not exclude.search(device):
            for (metric, factor), number in zip(_FIELDS, numbers, strict=False):
                yield metric.sample(number * factor, device=device)


def parse(diskstats: str) -> dict[str, list[int]]:
    """Return the numbers of each disk in the kernel's order."""
    lines = (line.split() for line in diskstats.splitlines())
    return {device: [int(number) for number in numbers] for _, _, device, *numbers in lines}

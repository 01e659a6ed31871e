"""Time of the processors by what they did with it."""

import os
from collections.abc import Iterator
from pathlib import Path

from exporter.catalog import Metric, Sample

CPU_SECONDS = Metric(
    "node_cpu_seconds_total",
    "counter",
    "Seconds that a processor spent in each mode; idle and iowait are the free ones.",
    ("cpu", "mode"),
    origin="node_exporter",
)
CPU_GUEST_SECONDS = Metric(
    "node_cpu_guest_seconds_total",
    "counter",
    "Seconds that a processor spent running virtual machines, contained in user and nice as well.",
    ("cpu", "mode"),
    origin="node_exporter",
)

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUEST_MODES = ("user", "nice")


def read(proc: Path) -> Iterator[Sample]:
    """Yield the times of every processor."""
    ticks = os.sysconf("SC_CLK_TCK")
    for cpu, times in parse((proc / "stat").read_text()).items():
        seconds = [time / ticks for time in times]
        for mode, value in zip(_MODES, seconds, strict=False):
            yield CPU_SECONDS.sample(value, cpu=cpu, mode=mode)
        for mode, value in zip(_GUEST_MODES, seconds[len(_MODES) :], strict=False):
            yield CPU_GUEST_SECONDS.sample(value, cpu=cpu, mode=mode)


def parse(stat: str) -> dict[str, list[int]]:
    """Return the ticks of each processor, by its number, in the order of /proc/stat."""
    return {
        fields[0].removeprefix("cpu"): [int(field) for field in fields[1:]]
        for fields in (line.split() for line in stat.splitlines() if line.startswith("cpu"))
        if fields[0] != "cpu"  # the sum of all
    }

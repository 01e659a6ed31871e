"""Pressure: for how long tasks had to wait for a processor, memory or a disk."""

from collections.abc import Iterator

from exporter.catalog import Sample
from exporter.collectors.host._metric import counter
from exporter.collectors.host._tree import Tree

CPU_WAITING = counter(
    "node_pressure_cpu_waiting_seconds_total", "Seconds in which some task waited for a processor."
)
MEMORY_WAITING = counter(
    "node_pressure_memory_waiting_seconds_total", "Seconds in which some task waited for memory."
)
MEMORY_STALLED = counter(
    "node_pressure_memory_stalled_seconds_total", "Seconds in which all tasks waited for memory."
)
IO_WAITING = counter(
    "node_pressure_io_waiting_seconds_total", "Seconds in which some task waited for a disk."
)
IO_STALLED = counter(
    "node_pressure_io_stalled_seconds_total", "Seconds in which all tasks waited for a disk."
)
IRQ_STALLED = counter(
    "node_pressure_irq_stalled_seconds_total",
    "Seconds in which all tasks waited for interrupts to be served.",
)

_METRICS = {
    ("cpu", "some"): CPU_WAITING,  # "all tasks wait for a processor" cannot be: one has it
    ("memory", "some"): MEMORY_WAITING,
    ("memory", "full"): MEMORY_STALLED,
    ("io", "some"): IO_WAITING,
    ("io", "full"): IO_STALLED,
    ("irq", "full"): IRQ_STALLED,
}


def read(tree: Tree) -> Iterator[Sample]:
    """Yield what the kernel counts; without pressure information it has no file, or one that is refused."""
    for resource in ("cpu", "memory", "io", "irq"):
        for share, seconds in parse(tree.maybe(f"pressure/{resource}")).items():
            if metric := _METRICS.get((resource, share)):
                yield metric.sample(seconds)


def parse(text: str) -> dict[str, float]:
    """Return the total seconds of the lines `some` and `full`; the kernel gives microseconds."""
    lines = (line.split() for line in text.splitlines())
    return {share: int(rest[-1].removeprefix("total=")) / 1e6 for share, *rest in lines}

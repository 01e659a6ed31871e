"""Time of the processors by what they did with it, and of the scheduler's queues."""

import os
from collections.abc import Iterator

from exporter.catalog import Sample
from exporter.collectors.host._metric import counter
from exporter.collectors.host._tree import Tree

CPU_SECONDS = counter(
    "node_cpu_seconds_total",
    "Seconds that a processor spent in each mode; idle and iowait are the free ones.",
    "cpu",
    "mode",
)
CPU_GUEST_SECONDS = counter(
    "node_cpu_guest_seconds_total",
    "Seconds that a processor spent running virtual machines, contained in user and nice as well.",
    "cpu",
    "mode",
)
SCHEDSTAT_RUNNING = counter("node_schedstat_running_seconds_total", "Seconds that tasks ran.", "cpu")
SCHEDSTAT_WAITING = counter(
    "node_schedstat_waiting_seconds_total", "Seconds that tasks waited until they could run.", "cpu"
)
SCHEDSTAT_TIMESLICES = counter(
    "node_schedstat_timeslices_total", "Times that a task was given the processor.", "cpu"
)

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUEST_MODES = ("user", "nice")
_IDLE = _MODES.index("idle")
# A processor that was taken away and put back counts its idle time from nothing; node_exporter's bound.
_RESTARTED_SECONDS = 3
_TICKS = os.sysconf("SC_CLK_TCK")

Ticks = dict[str, list[int]]


def read(tree: Tree, stat: str, before: Ticks) -> Iterator[Sample]:
    """Yield the times of every processor, from the text of /proc/stat.

    `before` holds those of the last run, and is brought up to date.
    """
    now = steadied(parse(stat), before)
    before.clear()
    before.update(now)
    for cpu, times in now.items():
        for mode, ticks in zip(_MODES, times, strict=False):
            yield Sample(CPU_SECONDS, (cpu, mode), ticks / _TICKS)
        for mode, ticks in zip(_GUEST_MODES, times[len(_MODES) :], strict=False):
            yield Sample(CPU_GUEST_SECONDS, (cpu, mode), ticks / _TICKS)
    for cpu, (running, waiting, timeslices) in parse_schedstat(tree.maybe("schedstat")).items():
        yield SCHEDSTAT_RUNNING.sample(running / 1e9, cpu=cpu)
        yield SCHEDSTAT_WAITING.sample(waiting / 1e9, cpu=cpu)
        yield SCHEDSTAT_TIMESLICES.sample(timeslices, cpu=cpu)


def steadied(now: Ticks, before: Ticks) -> Ticks:
    """Return the times so that none falls: the kernel's iowait does, a little, and a rate would jump."""
    return {cpu: _no_less(times, before.get(cpu, [])) for cpu, times in now.items()}


def _no_less(now: list[int], before: list[int]) -> list[int]:
    if len(now) != len(before) or before[_IDLE] - now[_IDLE] > _RESTARTED_SECONDS * _TICKS:
        return now
    return list(map(max, now, before))


def parse(stat: str) -> Ticks:
    """Return the ticks of each processor, by its number, in the order of /proc/stat."""
    times = {}
    for line in stat.splitlines()[1:]:  # the first is the sum of all
        if not line.startswith("cpu"):
            break
        name, *ticks = line.split()
        times[name.removeprefix("cpu")] = list(map(int, ticks))
    return times


def parse_schedstat(text: str) -> dict[str, list[int]]:
    """Return nanoseconds running and waiting, and timeslices, of each processor."""
    lines = (line.split() for line in text.splitlines() if line.startswith("cpu"))
    return {name.removeprefix("cpu"): [int(n) for n in numbers[6:9]] for name, *numbers in lines}

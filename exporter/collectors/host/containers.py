"""What containers and services may use at most, and how near they are: named as cAdvisor names it.

On a machine that is a container, or has some, a service dies when its group is full, while the machine's own
memory may be almost free.
"""

from collections.abc import Iterator

from exporter.catalog import Metric, Sample
from exporter.collectors.host._cgroups import Numbers, Version, matching, own, version
from exporter.collectors.host._tree import Tree


def _gauge(name: str, help: str, *labels: str) -> Metric:  # noqa: A002 - the word of the field
    return Metric(name, "gauge", help, ("id", *labels), origin="cadvisor")


def _counter(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    return Metric(name, "counter", help, ("id", *labels), origin="cadvisor")


MEMORY_USAGE = _gauge("container_memory_usage_bytes", "Memory of a group, with its file cache.")
MEMORY_WORKING_SET = _gauge(
    "container_memory_working_set_bytes",
    "Memory that a group cannot give back at once; at its limit the kernel kills a program in it.",
)
MEMORY_RSS = _gauge(
    "container_memory_rss", "Memory that the programs of a group hold for themselves, in bytes."
)
MEMORY_CACHE = _gauge("container_memory_cache", "Files that are cached for a group, in bytes.")
MEMORY_LIMIT = _gauge(
    "container_spec_memory_limit_bytes", "Memory that a group may use at most; 0 when it has no limit."
)
OOM_EVENTS = _counter(
    "container_oom_events_total", "Programs killed because the group had used up its memory."
)
CPU_SECONDS = _counter(
    "container_cpu_usage_seconds_total",
    "Seconds of processors that a group used; cpu is always total.",
    "cpu",
)
CPU_QUOTA = _gauge(
    "container_spec_cpu_quota",
    "Microseconds of processors that a group may use in each period; absent without.",
)
CPU_PERIOD = _gauge("container_spec_cpu_period", "Length of that period in microseconds.")
CPU_PERIODS = _counter("container_cpu_cfs_periods_total", "Periods in which a group wanted a processor.")
CPU_THROTTLED_PERIODS = _counter(
    "container_cpu_cfs_throttled_periods_total", "Periods in which it had to wait for its quota."
)
CPU_THROTTLED_SECONDS = _counter(
    "container_cpu_cfs_throttled_seconds_total", "Seconds that it waited for its quota."
)
THREADS = _gauge("container_threads", "Threads in a group.")
THREADS_MAX = _gauge("container_threads_max", "Threads that a group may have; absent without a limit.")

# Looking for groups that have a limit costs a file each; new ones are found so many seconds later.
_LOOK_EVERY = 60.0
# The kernel adds up a group's numbers when asked: so many are read in less than a millisecond.
_FEW = 10


class Found:
    """The groups that are shown: our own and those above it, and those with a limit that fit the patterns."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._until = 0.0

    def few(self, now: float) -> bool:
        """Whether reading takes no time worth speaking of."""
        return now < self._until and len(self._paths) <= _FEW

    def paths(
        self, tree: Tree, groups: Version, patterns: tuple[str, ...], most: int, now: float
    ) -> list[str]:
        """Return their paths, `most` at most; looked for anew when that is due."""
        if now >= self._until:
            paths = dict.fromkeys([*own(tree, groups), *matching(tree, groups, patterns)])
            mine = own(tree, groups)[-1:]
            limited = [path for path in paths if path in mine or groups.limit(tree, path) is not None]
            self._paths = limited[:most]
            self._until = now + _LOOK_EVERY
        return self._paths


def read(tree: Tree, found: Found, patterns: tuple[str, ...], most: int, now: float) -> Iterator[Sample]:
    """Yield the groups; nothing where there are none. `now` is in seconds of a steady clock."""
    groups = version(tree)
    if groups is None:
        return
    for path in found.paths(tree, groups, patterns, most, now):
        if numbers := groups.numbers(tree, path):
            yield from _samples(path, numbers)


def _samples(path: str, numbers: Numbers) -> Iterator[Sample]:
    limit = numbers.memory_limit
    working = max(0.0, numbers.memory_usage - numbers.memory_inactive_file)
    quota = numbers.cpu_quota
    for metric, value in (
        (MEMORY_USAGE, numbers.memory_usage),
        (MEMORY_WORKING_SET, working),
        (MEMORY_RSS, numbers.memory_rss),
        (MEMORY_CACHE, numbers.memory_cache),
        (MEMORY_LIMIT, 0.0 if limit is None else limit),
        (OOM_EVENTS, numbers.oom_kills),
        (CPU_QUOTA, quota),
        (CPU_PERIOD, numbers.cpu_period),
        (CPU_PERIODS, numbers.cpu_periods),
        (CPU_THROTTLED_PERIODS, numbers.cpu_throttled_periods),
        (CPU_THROTTLED_SECONDS, numbers.cpu_throttled_seconds),
        (THREADS, numbers.threads),
        (THREADS_MAX, numbers.threads_max),
    ):
        if value is not None:
            yield metric.sample(value, id=path)
    if numbers.cpu_seconds is not None:
        yield CPU_SECONDS.sample(numbers.cpu_seconds, id=path, cpu="total")

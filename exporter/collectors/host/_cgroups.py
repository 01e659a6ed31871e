"""Control groups, version 1 and 2: where they are, and their numbers under one set of names."""

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from exporter.collectors.host._tree import Tree

_ROOT = "fs/cgroup"
_DEPTH = 6  # of folders that a pattern is looked for in
# The kernel writes "no limit" as the greatest number of whole pages, and pages differ in size.
_UNLIMITED = 2**63 - 2**20


class Numbers(NamedTuple):
    """What one group uses and may use, in bytes and seconds; None where its kernel does not say."""

    memory_usage: float
    memory_inactive_file: float
    memory_rss: float
    memory_cache: float
    memory_limit: float | None
    oom_kills: float | None
    cpu_seconds: float | None
    cpu_quota: float | None
    cpu_period: float | None
    cpu_periods: float | None
    cpu_throttled_periods: float | None
    cpu_throttled_seconds: float | None
    threads: float | None
    threads_max: float | None


@dataclass(frozen=True)
class Version:
    """How one version of control groups is read; paths begin with a slash."""

    memory: str
    limit: Callable[[Tree, str], float | None]
    numbers: Callable[[Tree, str], Numbers | None]


def version(tree: Tree) -> Version | None:
    """Return the version that counts memory here; with both (hybrid) it is the first."""
    if tree.listed(f"{_ROOT}/memory"):
        return Version(f"{_ROOT}/memory", _limit_1, _numbers_1)
    if "memory" in tree.sys(f"{_ROOT}/cgroup.controllers").split():
        return Version(_ROOT, _limit_2, _numbers_2)
    return None


def own(tree: Tree, found: Version) -> list[str]:
    """Return the path of this process's group and of those above it, the outermost first.

    In a container without a namespace for groups, the path is the machine's while the tree begins with the
    container: then it is the tree's root that is ours.
    """
    path = "/"
    for line in tree.maybe("self/cgroup").splitlines():
        _, controllers, each = line.split(":", 2)
        if (not controllers and found.memory == _ROOT) or "memory" in controllers.split(","):
            path = each
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        return []  # another container's, seen from ours
    paths = ["/", *("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))]
    return paths if tree.listed(found.memory + paths[-1]) else ["/"]


def matching(tree: Tree, found: Version, patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths that fit a pattern such as `system.slice/*.service`; each star is one folder's name."""
    for pattern in patterns:
        parts = pattern.strip("/").split("/")[:_DEPTH]
        level = [""]
        for part in parts:
            level = [
                f"{above}/{name}"
                for above in level
                for name in (tree.listed(found.memory + above) if "*" in part else [part])
                if fnmatch.fnmatchcase(name, part)
            ]
        yield from level


def _limit_1(tree: Tree, path: str) -> float | None:
    return _bounded(tree.number(f"{_ROOT}/memory{path}/memory.limit_in_bytes"))


def _numbers_1(tree: Tree, path: str) -> Numbers | None:
    memory = f"{_ROOT}/memory{path}"
    usage = tree.number(f"{memory}/memory.usage_in_bytes")
    if usage is None:
        return None
    stat = _fields(tree.sys(f"{memory}/memory.stat"))
    cpu = f"{_ROOT}/cpu{path}"
    times = _fields(tree.sys(f"{cpu}/cpu.stat"))
    nanoseconds = tree.number(f"{_ROOT}/cpuacct{path}/cpuacct.usage")
    quota = tree.number(f"{cpu}/cpu.cfs_quota_us")
    throttled = times.get("throttled_time")
    return Numbers(
        memory_usage=usage,
        memory_inactive_file=stat.get("total_inactive_file", 0),
        memory_rss=stat.get("total_rss", 0),
        memory_cache=stat.get("total_cache", 0),
        memory_limit=_limit_1(tree, path),
        oom_kills=_fields(tree.sys(f"{memory}/memory.oom_control")).get("oom_kill"),
        cpu_seconds=None if nanoseconds is None else nanoseconds / 1e9,
        cpu_quota=quota if quota and quota > 0 else None,
        cpu_period=tree.number(f"{cpu}/cpu.cfs_period_us"),
        cpu_periods=times.get("nr_periods"),
        cpu_throttled_periods=times.get("nr_throttled"),
        cpu_throttled_seconds=None if throttled is None else throttled / 1e9,
        threads=tree.number(f"{_ROOT}/pids{path}/pids.current"),
        threads_max=tree.number(f"{_ROOT}/pids{path}/pids.max"),
    )


def _limit_2(tree: Tree, path: str) -> float | None:
    return _bounded(tree.number(f"{_ROOT}{path}/memory.max"))


def _numbers_2(tree: Tree, path: str) -> Numbers | None:
    folder = f"{_ROOT}{path}"
    usage = tree.number(f"{folder}/memory.current")
    if usage is None:
        return None  # the machine's own root has no numbers
    stat = _fields(tree.sys(f"{folder}/memory.stat"))
    times = _fields(tree.sys(f"{folder}/cpu.stat"))
    quota, _, period = tree.sys(f"{folder}/cpu.max").partition(" ")
    used, throttled = times.get("usage_usec"), times.get("throttled_usec")
    return Numbers(
        memory_usage=usage,
        memory_inactive_file=stat.get("inactive_file", 0),
        memory_rss=stat.get("anon", 0),
        memory_cache=stat.get("file", 0),
        memory_limit=_limit_2(tree, path),
        oom_kills=_fields(tree.sys(f"{folder}/memory.events")).get("oom_kill"),
        cpu_seconds=None if used is None else used / 1e6,
        cpu_quota=float(quota) if quota.isdecimal() else None,
        cpu_period=float(period) if period.isdecimal() else None,
        cpu_periods=times.get("nr_periods"),
        cpu_throttled_periods=times.get("nr_throttled"),
        cpu_throttled_seconds=None if throttled is None else throttled / 1e6,
        threads=tree.number(f"{folder}/pids.current"),
        threads_max=tree.number(f"{folder}/pids.max"),
    )


def _bounded(limit: float | None) -> float | None:
    return None if limit is None or limit >= _UNLIMITED else limit


def _fields(text: str) -> dict[str, float]:
    lines = (line.split() for line in text.splitlines())
    return {line[0]: float(line[1]) for line in lines if len(line) == 2}

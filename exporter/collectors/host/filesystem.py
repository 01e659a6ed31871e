"""Space and inodes of each filesystem, read so that a dead mount holds up nobody."""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from exporter.catalog import Sample
from exporter.collectors import Keep
from exporter.collectors.host._metric import gauge
from exporter.collectors.host._threads import Asked
from exporter.collectors.host._tree import Tree

_LABELS = ("device", "fstype", "mountpoint")

SIZE = gauge("node_filesystem_size_bytes", "Size of the filesystem.", *_LABELS)
FREE = gauge("node_filesystem_free_bytes", "Space that is free, with what is kept back for root.", *_LABELS)
AVAIL = gauge(
    "node_filesystem_avail_bytes", "Space that programs without root's rights can still fill.", *_LABELS
)
FILES = gauge("node_filesystem_files", "Files that the filesystem can hold.", *_LABELS)
FILES_FREE = gauge("node_filesystem_files_free", "Files that can still be made.", *_LABELS)
READONLY = gauge("node_filesystem_readonly", "Whether it can only be read: 1 or 0.", *_LABELS)
DEVICE_ERROR = gauge(
    "node_filesystem_device_error",
    "Whether it refused or did not answer, 1 or 0; with 1 the label says why, and sizes are missing.",
    *_LABELS,
    "device_error",
)


class Mount(NamedTuple):
    """One line of the mount table."""

    device: str
    mountpoint: str
    fstype: str
    readonly: bool


Stat = Callable[[Path], os.statvfs_result]


def mounts(tree: Tree, exclude_points: re.Pattern[str], exclude_types: re.Pattern[str]) -> list[Mount]:
    """Return the mounts worth watching; of several on one point the last, which is the one that is seen.

    The table is the machine's own, not our container's, where it may be read.
    """
    return _worth(tree.proc("1/mounts", "self/mounts"), exclude_points, exclude_types)


@lru_cache(8)  # it hardly ever changes
def _worth(table: str, exclude_points: re.Pattern[str], exclude_types: re.Pattern[str]) -> list[Mount]:
    by_point = {
        mount.mountpoint: mount
        for mount in parse(table)
        if not exclude_points.search(mount.mountpoint) and not exclude_types.search(mount.fstype)
    }
    return list(by_point.values())


def parse(text: str) -> Iterator[Mount]:
    """Yield the lines of a mount table. Blanks stand in it as octal escapes."""
    for line in text.splitlines():
        device, point, fstype, options, *_ = (
            re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field) for field in line.split(" ")
        )
        yield Mount(device, point, fstype, "ro" in options.split(","))


async def read(
    watched: Iterable[Mount], root: Path, patience: float, keep: Keep, stat: Stat = os.statvfs
) -> AsyncIterator[Sample]:
    """Ask all mounts at once. One that still owes an answer from an earlier run is not asked again."""
    asked: Asked[os.statvfs_result] = keep.remember("filesystems", lambda: Asked(keep))
    paths = {mount: root / mount.mountpoint.lstrip("/") for mount in watched}
    answers = await asked.ask({f"statvfs {path}": partial(stat, path) for path in paths.values()}, patience)
    for mount, path in paths.items():
        for sample in _samples(mount, answers.get(f"statvfs {path}")):
            yield sample


def _samples(mount: Mount, answer: os.statvfs_result | BaseException | None) -> Iterator[Sample]:
    labels = (mount.device, mount.fstype, mount.mountpoint)
    if isinstance(answer, BaseException) and not isinstance(answer, OSError):
        raise answer
    if not isinstance(answer, os.statvfs_result):
        why = "no answer in time" if answer is None else (os.strerror(answer.errno or 0).lower())
        yield Sample(DEVICE_ERROR, (*labels, why), 1)
        return
    size = answer.f_frsize
    yield Sample(DEVICE_ERROR, (*labels, ""), 0)
    yield Sample(SIZE, labels, answer.f_blocks * size)
    yield Sample(FREE, labels, answer.f_bfree * size)
    yield Sample(AVAIL, labels, answer.f_bavail * size)
    yield Sample(FILES, labels, answer.f_files)
    yield Sample(FILES_FREE, labels, answer.f_ffree)
    yield Sample(READONLY, labels, mount.readonly)

"""Space and inodes of each filesystem, read so that a dead mount holds up nobody."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from exporter.catalog import Metric, Sample
from exporter.collectors import Keep

_LABELS = ("device", "fstype", "mountpoint")

SIZE = Metric(
    "node_filesystem_size_bytes", "gauge", "Size of the filesystem.", _LABELS, origin="node_exporter"
)
FREE = Metric(
    "node_filesystem_free_bytes",
    "gauge",
    "Space that is free, with what is kept back for root.",
    _LABELS,
    origin="node_exporter",
)
AVAIL = Metric(
    "node_filesystem_avail_bytes",
    "gauge",
    "Space that programs without root's rights can still fill.",
    _LABELS,
    origin="node_exporter",
)
FILES = Metric(
    "node_filesystem_files", "gauge", "Files that the filesystem can hold.", _LABELS, origin="node_exporter"
)
FILES_FREE = Metric(
    "node_filesystem_files_free", "gauge", "Files that can still be made.", _LABELS, origin="node_exporter"
)
READONLY = Metric(
    "node_filesystem_readonly",
    "gauge",
    "Whether it can only be read: 1 or 0.",
    _LABELS,
    origin="node_exporter",
)
DEVICE_ERROR = Metric(
    "node_filesystem_device_error",
    "gauge",
    "Whether it refused or did not answer, 1 or 0; with 1 it has no other series.",
    _LABELS,
    origin="node_exporter",
)


class Mount(NamedTuple):
    """One line of the mount table."""

    device: str
    mountpoint: str
    fstype: str
    readonly: bool


Outcome = os.statvfs_result | OSError
Stat = Callable[[Path], os.statvfs_result]


def mounts(proc: Path, exclude_points: re.Pattern[str], exclude_types: re.Pattern[str]) -> list[Mount]:
    """Return the mounts worth watching, each once."""
    table = proc / "1/mounts"  # the machine's own, not our container's; not everyone may read it
    if not os.access(table, os.R_OK):
        table = proc / "self/mounts"
    return list(
        dict.fromkeys(
            mount
            for mount in parse(table.read_text())
            if not exclude_points.search(mount.mountpoint) and not exclude_types.search(mount.fstype)
        )
    )


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
    owed: dict[str, Future[Outcome]] = keep.remember("filesystems", dict)
    by_point = {mount.mountpoint: mount for mount in watched}  # of several on one point, the last is seen
    asked = {point: _ask(root / point.lstrip("/"), stat) for point in by_point if point not in owed}
    owed.update(asked)  # before the wait: a run that is cancelled in it must not ask anew next time
    if asked:
        await asyncio.wait([asyncio.wrap_future(answer) for answer in asked.values()], timeout=patience)
    answers = {point: owed.pop(point).result() for point in list(owed) if owed[point].done()}
    for point, mount in by_point.items():
        for sample in _samples(mount, answers.get(point, TimeoutError())):
            yield sample


def _ask(path: Path, stat: Stat) -> Future[Outcome]:
    answer: Future[Outcome] = Future()

    def work() -> None:
        try:
            answer.set_result(stat(path))
        except OSError as error:
            answer.set_result(error)

    # Not the loop's pool: that is waited for at exit, and a dead mount would hold it for ever.
    threading.Thread(target=work, name=f"statvfs {path}", daemon=True).start()
    return answer


def _samples(mount: Mount, outcome: Outcome) -> Iterator[Sample]:
    labels = {"device": mount.device, "fstype": mount.fstype, "mountpoint": mount.mountpoint}
    yield DEVICE_ERROR.sample(isinstance(outcome, OSError), **labels)
    if isinstance(outcome, OSError):
        return
    yield SIZE.sample(outcome.f_blocks * outcome.f_frsize, **labels)
    yield FREE.sample(outcome.f_bfree * outcome.f_frsize, **labels)
    yield AVAIL.sample(outcome.f_bavail * outcome.f_frsize, **labels)
    yield FILES.sample(outcome.f_files, **labels)
    yield FILES_FREE.sample(outcome.f_ffree, **labels)
    yield READONLY.sample(mount.readonly, **labels)

"""Filesystems, dead ones among them."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.collectors import Keep, host
from exporter.collectors.host import filesystem
from exporter.collectors.host._tree import Tree
from tests.exporter.collectors.driving import value, values, with_keep
from tests.exporter.collectors.machine import PROC
from tests.waiting import wait_for, wait_for_async

ROOT = filesystem.Mount("/dev/vda", "/", "ext4", False)
DEAD = filesystem.Mount("nas:/home", "/home/nas", "nfs", False)


def waiting_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("statvfs")]


def test_only_real_filesystems_are_watched():
    """Pseudo filesystems are left out, blanks are unescaped, and each mount is named once."""
    settings = host.Settings()
    watched = filesystem.mounts(Tree(PROC), settings.mount_points_exclude, settings.fs_types_exclude)
    assert watched == [
        ROOT,
        filesystem.Mount("/dev/vdb", "/srv/two words", "xfs", True),
        filesystem.Mount("/dev/sdc1", "/srv/errors=remount-ro", "ext4", False),
    ]


@pytest.mark.parametrize(
    ("point", "watched"), [("/mnt/data", True), ("/media/disk", True), ("/run/lock", False)]
)
def test_disks_for_data_are_watched_where_clouds_mount_them(point, watched):
    """Debian's node_exporter leaves out /mnt and /media, where a full disk is as bad as elsewhere."""
    assert (host.Settings().mount_points_exclude.search(point) is None) == watched


def test_space_is_what_df_says():
    """Size and available space are the system call's blocks in bytes."""

    async def scenario(keep: Keep):
        return [s async for s in filesystem.read([ROOT], Path("/"), 5, keep)]

    samples = with_keep(scenario)
    facts = os.statvfs("/")
    assert value(samples, filesystem.SIZE, mountpoint="/") == facts.f_blocks * facts.f_frsize
    assert value(samples, filesystem.DEVICE_ERROR, mountpoint="/") == 0


def test_a_refused_mount_is_told_and_the_others_are_read():
    """A mount that cannot be read has device_error 1, with the reason, and no sizes; others are complete."""
    gone = filesystem.Mount("/dev/gone", "/no/such/folder", "ext4", False)

    async def scenario(keep: Keep):
        return [s async for s in filesystem.read([ROOT, gone], Path("/"), 5, keep)]

    samples = with_keep(scenario)
    why = "no such file or directory"
    assert value(samples, filesystem.DEVICE_ERROR, mountpoint="/no/such/folder", device_error=why) == 1
    assert len(values(samples, filesystem.SIZE)) == 1


def test_a_dead_mount_costs_one_thread_and_one_wait():
    """A mount that hangs holds up the first run for `mount_timeout` only, and later runs not at all."""
    alive = threading.Event()
    asked: list[Path] = []

    def stat(path: Path) -> os.statvfs_result:
        asked.append(path)
        if path == Path("/home/nas"):
            alive.wait()
        return os.statvfs("/")

    async def scenario(keep: Keep):
        async def run(patience: float):
            return [s async for s in filesystem.read([DEAD, ROOT], Path("/"), patience, keep, stat)]

        first = await run(1)
        async with asyncio.timeout(60):  # were the dead one waited for again, it would be an hour
            later = [await run(3600) for _ in range(5)]
        assert asked.count(Path("/home/nas")) == 1
        wait_for(lambda: waiting_threads() == ["statvfs /home/nas"])
        for samples in (first, *later):
            assert value(samples, filesystem.DEVICE_ERROR, device_error="no answer in time") == 1
            assert value(samples, filesystem.DEVICE_ERROR, mountpoint="/") == 0
        alive.set()

        async def back() -> bool:
            return value(await run(3600), filesystem.DEVICE_ERROR, mountpoint="/home/nas") == 0

        await wait_for_async(back, message="the mount is read again once it answers")

    try:
        with_keep(scenario)
    finally:
        alive.set()
    wait_for(lambda: not waiting_threads())


def test_runs_that_are_cancelled_leave_one_thread():
    """A run ended from outside while it waits for a dead mount does not make the next one ask anew."""
    alive = threading.Event()
    asked: list[Path] = []

    def stat(path: Path) -> os.statvfs_result:
        asked.append(path)
        alive.wait()
        return os.statvfs("/")

    async def scenario(keep: Keep):
        for _ in range(5):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    async for _ in filesystem.read([DEAD], Path("/"), 3600, keep, stat):
                        pass

    try:
        with_keep(scenario)
        assert len(waiting_threads()) == 1
    finally:
        alive.set()
    assert asked == [Path("/home/nas")]
    wait_for(lambda: not waiting_threads())


def test_a_mistake_of_our_own_is_not_called_a_dead_mount():
    """Only what the system refuses is a device error; anything else fails the run."""

    async def scenario(keep: Keep):
        return [s async for s in filesystem.read([ROOT], Path("/"), 5, keep, lambda path: 1 / 0)]

    with pytest.raises(ZeroDivisionError):
        with_keep(scenario)


@pytest.mark.parametrize("timeout", [1, 2])
def test_a_dead_mount_may_not_cost_the_whole_run(timeout: int):
    """The patience with a mount is less than that with the collector, or nothing would be told at all."""
    with pytest.raises(ValidationError, match=r"mount_timeout \(2\) must be less than timeout"):
        host.Settings(timeout=timeout)
    assert host.Settings(timeout=timeout, mount_timeout=0.5)

"""The machine: processors, memory, disks, filesystems, network and kernel, under node_exporter's names."""

import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from exporter.catalog import Sample
from exporter.collectors import CollectorSettings, Keep, Part
from exporter.collectors.host import (
    clock,
    containers,
    cpu,
    disk,
    filesystem,
    kernel,
    memory,
    netstat,
    network,
    packets,
    paging,
    portable,
    pressure,
    raid,
    sensors,
    sockets,
)
from exporter.collectors.host._threads import apart
from exporter.collectors.host._tree import Tree


class Settings(CollectorSettings):
    """Where the machine's files are, and what to leave out. The patterns follow node_exporter's defaults."""

    procfs: Path = Field(default=Path("/proc"), description="Where the machine's /proc is mounted.")
    sysfs: Path | None = Field(
        default=None, description="Where the machine's /sys is mounted; by default beside `procfs`."
    )
    rootfs: Path = Field(
        default=Path("/"), description="Where the machine's root is mounted, in a container."
    )
    mount_points_exclude: re.Pattern[str] = Field(
        # Unlike Debian's node_exporter it takes in /mnt and /media: clouds put disks for data there.
        default=re.compile(r"^/(dev|proc|run|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"),
        description="Mount points to leave out.",
    )
    fs_types_exclude: re.Pattern[str] = Field(
        default=re.compile(
            r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660"
            r"|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
        ),
        description="Filesystem types to leave out.",
    )
    disks_exclude: re.Pattern[str] = Field(
        default=re.compile(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"),
        description="Disks to leave out: partitions, loops and memory disks.",
    )
    cgroups: tuple[str, ...] = Field(
        default=("system.slice/*.service", "system.slice/docker-*.scope", "docker/*", "machine.slice/*"),
        description="Control groups to show beside our own, where they have a memory limit.",
    )
    cgroups_most: int = Field(default=100, ge=0, le=10_000, description="How many of them to show at most.")
    mount_timeout: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds after which a mount that does not answer counts as dead; less than `timeout`.",
    )

    @model_validator(mode="after")
    def _dead_mounts_cost_no_run(self) -> Self:
        if self.mount_timeout >= self.timeout:
            raise ValueError(
                f"mount_timeout ({self.mount_timeout:g}) must be less than timeout ({self.timeout:g}), "
                "or a dead mount would fail the whole run"
            )
        return self


class Machine(NamedTuple):
    """What a run of a part works with."""

    settings: Settings
    tree: Tree
    keep: Keep
    now: float  # seconds of a steady clock


Read = Callable[[Machine], Iterable[Sample]]


def parts(settings: Settings, platform: str = sys.platform) -> list[Part]:
    """Return what is read and may fail or hang on its own: a dead mount, a slow sensor, a file of lxcfs."""
    if platform != "linux":
        return [
            _part("", lambda machine: portable.basics()),
            _part("disk", lambda machine: portable.disks()),
            _part("network", lambda machine: portable.devices()),
            Part("filesystem", _portable_filesystems),
        ]
    return [
        _part("", _basics, lambda machine: True),
        _part("disk", _disk, lambda machine: True),
        _part("network", _network, lambda machine: _devices(machine).look(machine.tree, machine.now)),
        _part("sensors", _sensors, lambda machine: _hardware(machine).none(machine.now)),
        _part("containers", _containers, lambda machine: _groups(machine).few(machine.now)),
        Part("filesystem", _filesystems),
    ]


def _part(name: str, read: Read, quick: Callable[[Machine], bool] = lambda machine: False) -> Part:
    """Make a part of what reads in another thread, or at once where it is quick."""

    async def collect(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
        machine = Machine(settings, _tree(settings, keep), keep, time.monotonic())
        if machine.tree.quick and quick(machine):
            samples = list(read(machine))
        else:
            samples = await apart(f"host {name}".strip(), keep, lambda: list(read(machine)))
        for sample in samples:
            yield sample

    return Part(name, collect)


def _tree(settings: Settings, keep: Keep) -> Tree:
    # Our container's /sys would tell of other devices than the machine's /proc, under the same names.
    sysfs = settings.sysfs or settings.procfs.parent / "sys"
    return keep.remember("tree", lambda: Tree(settings.procfs, sysfs, settings.rootfs))


def _basics(machine: Machine) -> Iterable[Sample]:
    tree = machine.tree
    stat = tree.proc("stat")
    yield from cpu.read(tree, stat, machine.keep.remember("ticks", dict))
    yield from kernel.read(tree, stat)
    yield from memory.read(tree)
    yield from paging.read(tree)
    yield from pressure.read(tree)
    yield from clock.read()


def _disk(machine: Machine) -> Iterable[Sample]:
    yield from disk.read(machine.tree, machine.settings.disks_exclude)
    yield from raid.read(machine.tree)


def _network(machine: Machine) -> Iterable[Sample]:
    tree, devices = machine.tree, _devices(machine)
    if devices.looked != machine.now:
        devices.look(tree, machine.now)
    yield from network.read(tree, devices)
    yield from sockets.read(tree, os.sysconf("SC_PAGE_SIZE"))
    yield from netstat.read(tree)
    yield from packets.read(tree)


def _devices(machine: Machine) -> network.Known:
    return machine.keep.remember("devices", network.Known)


def _sensors(machine: Machine) -> Iterable[Sample]:
    return sensors.read(machine.tree, _hardware(machine), machine.now)


def _hardware(machine: Machine) -> sensors.Found:
    return machine.keep.remember("sensors", sensors.Found)


def _containers(machine: Machine) -> Iterable[Sample]:
    settings = machine.settings
    return containers.read(
        machine.tree, _groups(machine), settings.cgroups, settings.cgroups_most, machine.now
    )


def _groups(machine: Machine) -> containers.Found:
    return machine.keep.remember("groups", containers.Found)


async def _filesystems(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
    tree = _tree(settings, keep)
    watched = filesystem.mounts(tree, settings.mount_points_exclude, settings.fs_types_exclude)
    async for sample in filesystem.read(watched, settings.rootfs, settings.mount_timeout, keep):
        yield sample


async def _portable_filesystems(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
    watched = await apart("host mounts", keep, lambda: list(portable.mounts()))
    async for sample in filesystem.read(watched, Path("/"), settings.mount_timeout, keep):
        yield sample

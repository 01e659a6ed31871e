"""The machine: processors, memory, disks, filesystems, network and kernel, under node_exporter's names."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from exporter.catalog import Sample
from exporter.collectors import CollectorSettings, Keep
from exporter.collectors.host import cpu, disk, filesystem, kernel, memory, network


class Settings(CollectorSettings):
    """Where the machine's files are, and what to leave out. The patterns are node_exporter's own defaults."""

    procfs: Path = Field(default=Path("/proc"), description="Where the machine's /proc is mounted.")
    rootfs: Path = Field(
        default=Path("/"), description="Where the machine's root is mounted, in a container."
    )
    mount_points_exclude: re.Pattern[str] = Field(
        default=re.compile(
            r"^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
        ),
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


async def collect(settings: Settings, keep: Keep) -> AsyncIterator[Sample]:
    """Read the machine. Only filesystems can hang; the rest is answered by the kernel from memory."""
    proc = settings.procfs
    for samples in (
        cpu.read(proc),
        memory.read(proc),
        disk.read(proc, settings.disks_exclude),
        network.read(proc),
        kernel.read(proc, settings.rootfs),
    ):
        for sample in samples:
            yield sample
    mounts = filesystem.mounts(proc, settings.mount_points_exclude, settings.fs_types_exclude)
    async for sample in filesystem.read(mounts, settings.rootfs, settings.mount_timeout, keep):
        yield sample

"""The machine, from a recorded /proc."""

import os
import shutil
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from exporter.collectors import host
from exporter.collectors.host import cpu, disk, filesystem, kernel, memory, network
from exporter.store.text import families, page
from tests.exporter.collectors.driving import read_once

PROC = Path(__file__).with_name("proc")
EXPECTED = Path(__file__).with_name("host.txt")
# Not recorded: the clock, the kernel's own name, what it says of a device, and the filesystems' space.
LIVE = {
    kernel.TIME,
    kernel.UNAME,
    network.MTU,
    network.SPEED,
    filesystem.SIZE,
    filesystem.FREE,
    filesystem.AVAIL,
    filesystem.FILES,
    filesystem.FILES_FREE,
}


def test_the_recorded_machine_gives_the_expected_page():
    """Every series of a recorded /proc has the name, labels and base unit that node_exporter gives it.

    After a wanted change: UPDATE_EXPECTED=1, and read the difference.
    """
    samples = read_once(host, host.Settings(procfs=PROC))
    text = page(families(sample for sample in samples if sample.metric not in LIVE)).decode()
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


def test_this_machine_can_be_read():
    """The live /proc gives processors, memory, a root filesystem and a clock."""
    names = {sample.metric for sample in read_once(host, host.Settings())}
    assert {cpu.CPU_SECONDS, memory.MEM_AVAILABLE, kernel.TIME, kernel.UNAME, kernel.LOAD1} <= names


def test_memory_is_told_in_bytes():
    """The kernel's kibibytes become bytes; numbers without a unit stay."""
    assert memory.parse("MemTotal: 2 kB\nHugePages_Total: 5\nActive(anon): 1 kB") == {
        "node_memory_MemTotal_bytes": 2048,
        "node_memory_HugePages_Total": 5,
        "node_memory_Active_anon_bytes": 1024,
    }


def test_partitions_and_loops_are_left_out():
    """Only whole disks count, so that a sum over devices counts nothing twice."""
    exclude = host.Settings().disks_exclude
    devices = {sample.labels[0] for sample in disk.read(PROC, exclude)}
    assert devices == {"vda"}


def test_a_kernel_without_pressure_information_is_read_all_the_same():
    """Where /proc/pressure lacks a file, the other series are there."""
    pressure = {s.metric for s in kernel.read(PROC) if s.metric.name.startswith("node_pressure")}
    assert pressure == {
        kernel.PRESSURE_CPU_WAITING,
        kernel.PRESSURE_IO_WAITING,
        kernel.PRESSURE_IO_STALLED,
    }  # the recorded tree has no pressure/memory


def test_in_a_container_the_machines_own_network_is_told(tmp_path):
    """With /proc mounted elsewhere, the devices are those of the machine's first process, not our own."""
    shutil.copytree(PROC, tmp_path / "1")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text("\n\neth0: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n")
    assert {sample.labels for sample in network.read(tmp_path)} == {("lo",), ("wire0",)}
    assert {sample.labels for sample in network.read(PROC)} == {("lo",), ("wire0",)}


def test_in_a_container_no_other_devices_facts_are_told(tmp_path):
    """Size and speed come from a call that sees the container only: left out, rather than wrong."""
    device = next(iter(psutil.net_if_stats()))
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text(f"\n\n{device}: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n")
    told = {sample.metric for sample in network.read(tmp_path)}
    assert network.RECEIVE_BYTES in told
    assert not told & {network.MTU, network.SPEED}
    assert network.MTU in {sample.metric for sample in network.read(Path("/proc"))}


@pytest.mark.parametrize("text", ["shop-1\n", "# made by the installer\nshop-1\n"])
def test_in_a_container_the_machines_own_name_is_told(tmp_path, text):
    """The name is read from the machine's root: /proc/sys/kernel/hostname would tell the container's."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text(text)
    samples = read_once(host, host.Settings(procfs=PROC, rootfs=tmp_path))
    (labels,) = [sample.labels for sample in samples if sample.metric is kernel.UNAME]
    assert dict(zip(kernel.UNAME.labels, labels, strict=True))["nodename"] == "shop-1"


@pytest.mark.parametrize("root", ["/", "/nowhere"])
def test_without_the_machines_root_the_kernel_tells_the_name(root):
    """On the machine itself, and where the file is missing, it is what `uname` says."""
    assert kernel.nodename(Path(root)) == os.uname().nodename


def test_a_malformed_pattern_is_refused_at_the_start():
    """A regular expression that cannot be read is an error of the configuration."""
    with pytest.raises(ValidationError, match="mount_points_exclude"):
        host.Settings(mount_points_exclude="(")

"""The machine, from a recorded /proc and /sys."""

import os
import shutil
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from exporter import inventory
from exporter.collectors import host
from exporter.collectors.host import clock, cpu, disk, filesystem, kernel, memory, netstat, network, pressure
from exporter.collectors.host._tree import Tree
from exporter.store.text import families, page
from tests.exporter.collectors.driving import read_once, value, values
from tests.exporter.collectors.machine import PROC, recorded, unpack

EXPECTED = Path(__file__).with_name("host.txt")
# Not recorded: the clock, the kernel's own name, and the filesystems' space.
LIVE = {
    kernel.UNAME.name,
    *(metric.name for metric in inventory.by_module()["exporter.collectors.host.clock"]),
    filesystem.SIZE.name,
    filesystem.FREE.name,
    filesystem.AVAIL.name,
    filesystem.FILES.name,
    filesystem.FILES_FREE.name,
    filesystem.READONLY.name,
}


def prepare(tmp_path):
    """The recorded machine has hardware of every kind, and its root is this machine's."""
    release = tmp_path / "root/etc/os-release"
    release.parent.mkdir(parents=True)
    release.write_text('ID=debian\nVERSION_ID="12"\n')
    settings = recorded(tmp_path / "sys", rootfs=tmp_path / "root")
    yield settings.model_dump()


def devices_of(tree: Tree) -> network.Known:
    known = network.Known()
    known.look(tree, 0)
    return known


def test_the_recorded_machine_gives_the_expected_page(tmp_path):
    """Every series of a recorded machine has the name, labels and base unit that node_exporter gives it.

    After a wanted change: UPDATE_EXPECTED=1, and read the difference.
    """
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="12.5.1"\n')
    samples = read_once(host, recorded(tmp_path / "sys", rootfs=tmp_path))
    text = page(families(sample for sample in samples if sample.metric.name not in LIVE)).decode()
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


def test_this_machine_can_be_read():
    """The live kernel gives processors, memory, network, a clock and a name."""
    names = {sample.metric for sample in read_once(host, host.Settings())}
    assert {cpu.CPU_SECONDS, memory.MEM_AVAILABLE, clock.TIME, kernel.UNAME, kernel.LOAD1} <= names
    assert {network.RECEIVE_BYTES, kernel.FILEFD_ALLOCATED, *netstat.declared_metrics()} & names


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
    devices = {sample.labels[0] for sample in disk.read(Tree(PROC), exclude)}
    assert devices == {"vda"}


def test_a_kernel_without_pressure_information_is_read_all_the_same(tmp_path):
    """Where /proc/pressure lacks a file, the other series are there."""
    shutil.copytree(PROC / "pressure", tmp_path / "pressure")
    (tmp_path / "pressure/memory").unlink()
    given = {sample.metric for sample in pressure.read(Tree(tmp_path))}
    assert given == {pressure.CPU_WAITING, pressure.IO_WAITING, pressure.IO_STALLED, pressure.IRQ_STALLED}


def test_no_processors_time_falls():
    """The kernel's iowait sometimes does; a rate would take that for a restart and jump."""
    ticks: cpu.Ticks = {}

    def seconds(stat: str) -> dict[str, float]:
        samples = cpu.read(Tree(Path("/nowhere")), stat, ticks)
        return {s.labels[1]: s.value * 100 for s in samples if s.metric is cpu.CPU_SECONDS}

    assert seconds("cpu 0\ncpu0 5 0 5 1000 50 0 0 0 0 0\n")["iowait"] == 50
    fallen = seconds("cpu 0\ncpu0 6 0 5 1001 49 0 0 0 0 0\n")
    assert (fallen["user"], fallen["idle"], fallen["iowait"]) == (6, 1001, 50)
    again = seconds("cpu 0\ncpu0 1 0 0 3 0 0 0 0 0 0\n")  # taken away and put back: all from nothing
    assert (again["user"], again["idle"], again["iowait"]) == (1, 3, 0)


def test_in_a_container_the_machines_own_network_is_told(tmp_path):
    """With /proc mounted elsewhere, the devices are those of the machine's first process, not our own."""
    shutil.copytree(PROC, tmp_path / "1")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text("\n\neth0: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n")
    for proc in (tmp_path, PROC):
        tree = Tree(proc, Path("/nowhere"))
        assert {
            sample.labels
            for sample in network.read(tree, devices_of(tree))
            if "receive" in sample.metric.name
        } == {
            ("lo",),
            ("wire0",),
        }


def test_in_a_container_no_other_devices_facts_are_told(tmp_path):
    """Without the machine's /sys there is nothing on lines and speeds, rather than something wrong."""
    tree = Tree(PROC, tmp_path / "nowhere")
    told = {sample.metric for sample in network.read(tree, devices_of(tree))}
    assert network.RECEIVE_BYTES in told
    assert not told & {network.MTU, network.SPEED, network.UP, network.INFO}


def test_the_machines_sys_is_looked_for_beside_its_proc(tmp_path):
    """With the machine's root mounted in a container, naming its /proc is enough."""
    shutil.copytree(PROC, tmp_path / "proc")
    unpack(tmp_path / "sys", "sys")
    samples = read_once(host, host.Settings(procfs=tmp_path / "proc"))
    assert value(samples, network.MTU, device="wire0") == 1500
    assert not values(read_once(host, host.Settings(procfs=PROC)), network.MTU)


def test_a_line_that_changes_is_read_anew_and_one_that_stays_is_not(tmp_path):
    """What the kernel may keep a reader waiting for is read when the state says so, and once a minute."""
    tree = Tree(PROC, unpack(tmp_path, "sys"))
    known = network.Known()
    file = tmp_path / "class/net/wire0"

    def mtu(now: float) -> float:
        self_answered = known.look(tree, now)
        (found,) = [
            s.value for s in network.read(tree, known) if (s.metric, s.labels) == (network.MTU, ("wire0",))
        ]
        assert known.look(tree, now)
        answers.append(self_answered)
        return found

    answers: list[bool] = []
    assert mtu(0) == 1500
    (file / "mtu").write_text("9000\n")
    assert mtu(1) == 1500
    (file / "carrier_changes").write_text("6\n")
    assert mtu(2) == 9000
    (file / "mtu").write_text("1400\n")
    assert mtu(59) == 9000
    assert mtu(61) == 1400
    assert answers == [False, True, False, True, False]


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


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("NAME='A B'\n# no=fact\nVERSION_ID=\"22.04\"\n", {"name": "A B", "version_id": "22.04"}),
        ('NAME="open\n', {"name": '"open'}),
        ("", {}),
    ],
)
def test_the_distributions_file_is_read_as_a_shell_would(text, facts):
    """Quotes go, comments are no facts, and a broken line breaks nothing."""
    assert kernel.parse_release(text) == facts


@pytest.mark.parametrize(
    ("version", "number"), [("12", 12), ("22.04.3", 22.04), ("rolling", None), ("", None)]
)
def test_a_version_is_a_number_where_it_can_be(version, number):
    """Of 22.04.3 the first two parts, and a name is left out."""
    assert kernel.version_number(version) == number


def test_a_malformed_pattern_is_refused_at_the_start():
    """A regular expression that cannot be read is an error of the configuration."""
    with pytest.raises(ValidationError, match="mount_points_exclude"):
        host.Settings(mount_points_exclude="(")


def test_the_kernels_files_stay_open_and_are_closed_with_their_reader():
    """A run opens nothing that the last one opened, and what is forgotten leaks nothing."""
    tree = Tree(Path("/proc"))
    first = [tree.proc(name) for name in ("stat", "meminfo", "loadavg")]
    opened = psutil.Process().num_fds()
    assert [bool(tree.proc(name)) for name in ("stat", "meminfo", "loadavg")] == [True] * 3
    assert tree.quick
    assert psutil.Process().num_fds() == opened
    del tree
    assert psutil.Process().num_fds() == opened - len(first)

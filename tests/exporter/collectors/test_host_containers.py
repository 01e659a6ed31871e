"""What containers and services may use at most, from recorded control groups."""

from pathlib import Path

import pytest

from exporter.collectors.host import Settings, containers
from exporter.collectors.host._tree import Tree
from tests.exporter.collectors.driving import value, values
from tests.exporter.collectors.machine import unpack

APP = {"1": "/docker/0123", "2": "/system.slice/app.service"}
PATTERNS = Settings().cgroups


def machine(folder: Path, version: str, own: str = "") -> Tree:
    """A machine with control groups of this version, on which we are in the group `own`."""
    (folder / "proc/self").mkdir(parents=True)
    line = f"4:cpu,memory:{own}\n" if version == "1" else f"0::{own}\n"
    (folder / "proc/self/cgroup").write_text(line if own else "")
    return Tree(folder / "proc", unpack(folder / "sys", f"cgroup{version}"), folder)


def read(tree: Tree, patterns=PATTERNS, most=100):
    return list(containers.read(tree, containers.Found(), patterns, most, 0))


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_tell_the_same(tmp_path, version):
    """The use and limits of a group, in bytes and seconds, whichever way its kernel writes them."""
    samples = read(machine(tmp_path, version))
    told = {sample.metric.name: sample.value for sample in samples if sample.labels[0] == APP[version]}
    assert told == {
        "container_memory_usage_bytes": 90_000_000,
        "container_memory_working_set_bytes": 80_000_000,  # less the file cache that can go at once
        "container_memory_rss": 30_000_000,
        "container_memory_cache": 20_000_000,
        "container_spec_memory_limit_bytes": 104_857_600,
        "container_oom_events_total": 2,
        "container_cpu_usage_seconds_total": 2.5,
        "container_spec_cpu_quota": 150_000,
        "container_spec_cpu_period": 100_000,
        "container_cpu_cfs_periods_total": 40,
        "container_cpu_cfs_throttled_periods_total": 10,
        "container_cpu_cfs_throttled_seconds_total": 0.75,
        "container_threads": 12,
        "container_threads_max": 512,
    }


def test_a_service_near_its_limit_is_seen_though_the_machine_has_room(tmp_path):
    """Working set over limit is what "memory > 80 %" means where the kernel kills at the limit."""
    samples = read(machine(tmp_path, "2"))
    path = "/system.slice/docker-0123.scope"
    used = value(samples, containers.MEMORY_WORKING_SET, id=path)
    assert used / value(samples, containers.MEMORY_LIMIT, id=path) == pytest.approx(0.745, abs=0.001)


@pytest.mark.parametrize("version", ["1", "2"])
def test_others_are_shown_only_with_a_limit(tmp_path, version):
    """A service that may use all memory is no news beside the machine's own."""
    shown = {sample.labels[0] for sample in read(machine(tmp_path, version))}
    assert {
        "1": {"/", "/docker/0123"},
        "2": {"/system.slice/app.service", "/system.slice/docker-0123.scope"},
    }[version] >= shown
    assert APP[version] in shown


@pytest.mark.parametrize(
    ("version", "own"), [("1", "/docker/4567"), ("2", "/system.slice/watchkeeper.service")]
)
def test_our_own_group_is_shown_without_a_limit_as_well(tmp_path, version, own):
    """Its limit is then 0, as cAdvisor writes it."""
    samples = read(machine(tmp_path, version, own), patterns=())
    assert values(samples, containers.MEMORY_LIMIT) == [0]
    assert value(samples, containers.MEMORY_USAGE, id=own) > 0


def test_a_limit_above_ours_is_shown_too(tmp_path):
    """A pod's or a slice's limit kills its members, whatever these may use themselves."""
    tree = machine(tmp_path, "2", "/system.slice/watchkeeper.service")
    (tmp_path / "sys/fs/cgroup/system.slice/memory.max").write_text("100000000\n")
    samples = read(tree, patterns=())
    assert value(samples, containers.MEMORY_LIMIT, id="/system.slice") == 100_000_000
    assert value(samples, containers.MEMORY_LIMIT, id="/system.slice/watchkeeper.service") == 0


@pytest.mark.parametrize("version", ["1", "2"])
def test_in_a_container_the_trees_root_is_ours(tmp_path, version):
    """Where the path is the machine's and the tree the container's, or the path is hidden, it is the root."""
    for number, own in enumerate(("/docker/not-in-this-tree", "/")):
        tree = machine(tmp_path / str(number), version, own)
        root = tmp_path / str(number) / "sys/fs/cgroup"
        for file in (root / "system.slice/app.service").glob("*"):
            (root / file.name).write_text(file.read_text())
        assert {sample.labels[0] for sample in read(tree, patterns=())} == {"/"}


def test_a_path_that_leads_out_of_our_container_is_left_alone(tmp_path):
    """With the machine's /proc and our own tree, a path has dots that mean nothing here."""
    assert read(machine(tmp_path, "2", "/../../other"), patterns=()) == []


def test_no_more_groups_are_shown_than_the_setting_says(tmp_path):
    """A machine with thousands of containers does not make thousands of series."""
    assert len({sample.labels for sample in read(machine(tmp_path, "2"), most=1)}) <= 2  # one id; cpu=total
    assert read(machine(tmp_path / "none", "2"), most=0) == []


def test_new_groups_are_found_within_a_minute(tmp_path):
    """And a group that has gone is left out at once."""
    tree, found = machine(tmp_path, "2"), containers.Found()

    def shown(now: float) -> set[str]:
        return {sample.labels[0] for sample in containers.read(tree, found, PATTERNS, 100, now)}

    app, new = "/system.slice/app.service", "/system.slice/idle.service"
    root = tmp_path / "sys/fs/cgroup"
    assert shown(0) == {app, "/system.slice/docker-0123.scope"}
    (root / new.strip("/") / "memory.max").write_text("5000000\n")
    (root / app.strip("/") / "memory.current").unlink()
    assert shown(59) == {"/system.slice/docker-0123.scope"}
    assert new in shown(61)


def test_a_machine_without_control_groups_gives_nothing(tmp_path):
    """No /sys in a container is no failure."""
    assert read(Tree(tmp_path, tmp_path / "nowhere", tmp_path)) == []

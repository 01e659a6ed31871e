"""The machine as psutil tells of it, which is all there is without /proc, as on macOS."""

import psutil
import pytest

from exporter.collectors import Keep, host
from exporter.collectors.host import cpu, disk, filesystem, kernel, memory, network
from tests.exporter.collectors.driving import value, with_keep


def read(platform: str):
    settings = host.Settings()

    async def scenario(keep: Keep):
        return [
            sample for part in host.parts(settings, platform) async for sample in part.collect(settings, keep)
        ]

    return with_keep(scenario)


@pytest.fixture(scope="module")
def samples():
    """What is told on macOS; here psutil reads the same machine."""
    return read("darwin")


def test_boards_and_rules_find_what_they_ask_for_first(samples):
    """Processors, memory, load, swap, network and clock are named as they are on Linux."""
    names = {sample.metric.name for sample in samples}
    assert {
        "node_cpu_seconds_total",
        "node_memory_MemTotal_bytes",
        "node_memory_MemAvailable_bytes",
        "node_memory_SwapTotal_bytes",
        "node_load1",
        "node_boot_time_seconds",
        "node_time_seconds",
        "node_uname_info",
        "node_network_receive_bytes_total",
        "node_network_transmit_bytes_total",
    } <= names


def test_the_values_are_in_base_units(samples):
    """Bytes and seconds, as the system says."""
    assert value(samples, memory.MEM_TOTAL) == psutil.virtual_memory().total
    assert value(samples, kernel.BOOT_TIME) == psutil.boot_time()
    assert {s.labels[0] for s in samples if s.metric is cpu.CPU_SECONDS} == {
        str(number) for number in range(psutil.cpu_count())
    }
    assert value(samples, network.MTU, device="lo") == psutil.net_if_stats()["lo"].mtu


def test_both_ways_agree(samples):
    """On Linux, psutil and /proc tell the same of the same series."""
    of_proc = read("linux")
    for metric in (memory.MEM_TOTAL, memory.SWAP_TOTAL, kernel.BOOT_TIME):
        assert value(samples, metric) == value(of_proc, metric)
    for metric in (network.MTU, filesystem.SIZE):
        ours = {s.labels: s.value for s in samples if s.metric is metric}
        theirs = {s.labels: s.value for s in of_proc if s.metric is metric}
        shared = ours.keys() & theirs.keys()
        assert {key: ours[key] for key in shared} == {key: theirs[key] for key in shared}
    for metric in (cpu.CPU_SECONDS, disk.READ_BYTES, disk.READ_TIME, network.RECEIVE_BYTES):
        before = {s.labels: s.value for s in samples if s.metric is metric}
        after = {s.labels: s.value for s in of_proc if s.metric is metric}
        assert [
            labels for labels in before.keys() & after.keys() if not before[labels] <= after[labels]
        ] == []
        assert [
            labels for labels in before.keys() & after.keys() if before[labels] < after[labels] / 2 - 10
        ] == []


def test_no_series_is_given_twice(samples):
    """As for every collector."""
    series = [(sample.metric.name, sample.labels) for sample in samples]
    assert len(set(series)) == len(series)

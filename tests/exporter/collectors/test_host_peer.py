"""Side by side with the distribution's node_exporter: same names, types, labels and values."""

import math
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter import inventory
from exporter.collectors import Keep, host
from scripts.stack.process import Process, http_ok
from tests.exporter.collectors.driving import read, with_keep
from tests.exporter.collectors.machine import PROC, Series, recorded, series

SETTINGS = host.Settings()
DECLARED = inventory.everything()
# Of these the recorded machine has something, so that an empty comparison is noticed.
TOPICS = (
    *("cpu", "disk", "md", "thermal_zone", "cooling_device", "hwmon", "edac", "network", "bonding", "arp"),
    *("netstat", "sockstat", "softnet", "udp", "nf_conntrack", "schedstat", "vmstat", "memory", "pressure"),
)
ROUNDS = 20  # a gauge that moves while both read is met in one of them

# What node_exporter publishes and we leave out, by the start of the name.
LEFT_OUT = {
    "go_": "its own process",
    "process_": "its own process",
    "promhttp_": "its own process",
    "node_exporter_build_info": "its own process",
    "node_scrape_collector_": "of its parts; ours have watchkeeper_collector_success and _duration_seconds",
    "node_textfile_": "its folder of files written by others, which we do not have",
    "node_disk_info": "serial numbers and models, which no board or rule asks for",
    "node_disk_device_mapper_info": "names of logical volumes, which no board or rule asks for",
    "node_disk_filesystem_info": "names and ids of filesystems, which no board or rule asks for",
    "node_disk_ata_": "what a disk is able to do, which no board or rule asks for",
    "node_dmi_info": "serial numbers and models, which no board or rule asks for",
    "node_nvme_info": "serial numbers and models, which no board or rule asks for",
    "node_filesystem_mount_info": "numbers of devices, which no board or rule asks for",
    "node_filesystem_purgeable_bytes": "0 everywhere but on macOS",
    "node_edac_csrow_": "the same errors by row of a module; the controllers' sum is what alerts ask for",
    "node_network_address_assign_type": "a number of the kernel's bookkeeping",
    "node_network_device_id": "a number of the kernel's bookkeeping",
    "node_network_dormant": "a number of the kernel's bookkeeping",
    "node_network_flags": "bits; up or down is in node_network_up and node_network_info",
    "node_network_iface_": "a number of the kernel's bookkeeping",
    "node_network_name_assign_type": "a number of the kernel's bookkeeping",
    "node_network_net_dev_group": "a number of the kernel's bookkeeping",
    "node_network_protocol_type": "a number of the kernel's bookkeeping",
    "node_selinux_": "a setting, not a measurement",
    "node_time_clocksource_": "a setting, not a measurement",
    "node_timex_pps_": "needs a device that gives a pulse every second",
    "node_memory_FieldOfTomorrow_bytes": "a field of a later kernel, which has no declaration yet",
    "node_cpu_frequency_": "needs root, and is what a processor can do; node_cpu_scaling_* is what it does",
    "node_cpu_scaling_governor": "a setting, not a measurement",
    **dict.fromkeys(
        (
            "node_bcache_",
            "node_btrfs_",
            "node_fibrechannel_",
            "node_infiniband_",
            "node_ipvs_",
            "node_nfs_",
            "node_nfsd_",
            "node_power_supply_",
            "node_powersupply_",
            "node_rapl_",
            "node_systemd_",
            "node_tape_",
            "node_xfs_",
            "node_zfs_",
            "node_zoneinfo_",
            "node_watchdog_",
        ),
        "hardware and services that our boards and rules do not know: run node_exporter for them",
    ),
}
# Of what both publish, values that cannot be compared.
INCOMPARABLE = {
    "node_filesystem_readonly": "node_exporter 1.11 runs a mount's options together, and then finds no `ro`",
}
# Labels that newer releases have and the distribution's may lack.
NEWER_LABELS = {"adminstate", "device_error"}


def node_exporter(program, folder: Path, *arguments: str) -> Process:
    """One that leaves out the same filesystems, and reads the recorded files where it can."""
    flags = [
        f"--collector.filesystem.mount-points-exclude={SETTINGS.mount_points_exclude.pattern}",
        f"--collector.filesystem.fs-types-exclude={SETTINGS.fs_types_exclude.pattern}",
        f"--collector.diskstats.device-exclude={SETTINGS.disks_exclude.pattern}",
        "--collector.netdev.device-exclude=^$",  # Debian leaves out lo
        *arguments,
    ]
    return Process(
        "node_exporter",
        lambda port: [program.path, f"--web.listen-address=127.0.0.1:{port}", *flags],
        log=folder / "node_exporter.log",
        ready=http_ok("/metrics"),
    )


@pytest.fixture
def start(programs, tmp_path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts a node_exporter and connects to it; a connection for each page would be counted on it."""
    with ExitStack() as ends:

        def one(*arguments: str) -> httpx.Client:
            process = node_exporter(programs["node_exporter"], tmp_path, *arguments)
            ends.callback(process.stop)
            process.start()
            return ends.enter_context(httpx.Client(base_url=process.url, timeout=30, trust_env=False))

        yield one


def files_only(programs) -> list[str]:
    """The flags, as far as this release has them, that make it read files instead of asking the kernel."""
    command = [programs["node_exporter"].path, "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=True)
    flags = ("collector.netdev.netlink", "collector.arp.netlink", "collector.netclass.netlink")
    return [f"--no-{flag}" for flag in flags if flag in known.stdout + known.stderr]


def theirs(client: httpx.Client) -> tuple[Series, dict[str, str]]:
    """Its series, and the type of each name."""
    found, kinds = {}, {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "node_network_speed_bytes" and sample.value < 0:
                continue  # a device without a speed has -1 Mbit/s there, and no series here
            found[sample.name, frozenset(pair for pair in sample.labels.items() if pair[1])] = sample.value
            kinds[sample.name] = "untyped" if family.type == "unknown" else family.type
    return plain(found), kinds


def left_out(name: str) -> bool:
    return name.startswith(tuple(LEFT_OUT))


def plain(found: Series) -> Series:
    """Without the labels that only newer releases have."""
    return {
        (name, frozenset(p for p in labels if p[0] not in NEWER_LABELS)): v
        for (name, labels), v in found.items()
    }


def newer_field(name: str) -> bool:
    """A field of /proc/meminfo that this machine's kernel has and that has no declaration yet."""
    return name.startswith("node_memory_")


def moving(name: str) -> bool:
    """What cannot be recorded: the clock, and the space of this machine's real filesystems."""
    return name.startswith(("node_time", "node_filesystem_")) and name != "node_filesystem_device_error"


def test_of_a_recorded_machine_both_tell_the_same(start, programs, tmp_path):
    """Disks, arrays, sensors, lines, bonds, protocols, firewall: every series is equal to the last digit."""
    settings = recorded(tmp_path / "sys")
    client = start(f"--path.procfs={PROC}", f"--path.sysfs={settings.sysfs}", *files_only(programs))
    found, kinds = theirs(client)
    found = {key: value for key, value in found.items() if not left_out(key[0]) and not moving(key[0])}
    ours = plain(series(with_keep(lambda keep: read(host, settings, keep))))
    assert found.keys() - ours.keys() == set()
    assert {
        key: (v, ours[key]) for key, v in found.items() if not math.isclose(v, ours[key], rel_tol=1e-9)
    } == {}
    names = {name for name, _ in found}
    assert {name: kinds[name] for name in names} == {name: DECLARED[name].kind for name in names}
    assert [topic for topic in TOPICS if not any(name.startswith(f"node_{topic}_") for name in names)] == []


def test_of_this_machine_both_tell_the_same(start):
    """Each value lies between what we read before and after; a name that one lacks has its reason."""
    client = start()

    async def scenario(keep: Keep):
        met: set = set()
        theirs(client)  # from here on the connection stands
        for _ in range(ROUNDS):
            before = plain(series(await read(host, SETTINGS, keep)))
            found, kinds = theirs(client)
            after = plain(series(await read(host, SETTINGS, keep)))
            shared = {k for k in before.keys() & after.keys() & found.keys() if k[0] not in INCOMPARABLE}
            met |= {k for k in shared if between(found[k], before[k], after[k], OWN_DOING.get(k[0], 0.0))}
            unmet = {key: (before[key], found[key], after[key]) for key in shared - met}
            if not unmet:
                break
        return found, kinds, after, unmet

    found, kinds, ours, unmet = with_keep(scenario)
    assert unmet == {}
    names = {name for name, _ in ours}
    assert {n for n, _ in found if n not in names and not left_out(n) and not newer_field(n)} == set()
    assert {key for key in found if key[0] in names and key not in ours} == set()
    both = names & kinds.keys()
    assert {name: kinds[name] for name in both} == {name: DECLARED[name].kind for name in both}
    assert len(both) > 100


# What the reading itself changes: each opens files while it counts the open ones.
OWN_DOING = {"node_filefd_allocated": 64.0}


def between(value: float, before: float, after: float, slack: float = 0.0) -> bool:
    low, high = min(before, after) - slack, max(before, after) + slack
    return low <= value <= high or any(math.isclose(value, each, rel_tol=1e-9) for each in (low, high))


def test_what_is_left_out_is_not_published_after_all():
    """The list does not outlive what it excuses, and every entry says why."""
    assert [name for name in DECLARED if name.startswith("node_") and left_out(name)] == []
    assert [name for name, why in LEFT_OUT.items() if not why] == []

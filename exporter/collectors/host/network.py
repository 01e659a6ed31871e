"""Traffic of each network device."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from exporter.catalog import Metric, Sample

RECEIVE_BYTES = Metric(
    "node_network_receive_bytes_total", "counter", "Bytes received.", ("device",), origin="node_exporter"
)
RECEIVE_PACKETS = Metric(
    "node_network_receive_packets_total", "counter", "Packets received.", ("device",), origin="node_exporter"
)
RECEIVE_ERRS = Metric(
    "node_network_receive_errs_total",
    "counter",
    "Packets that arrived damaged.",
    ("device",),
    origin="node_exporter",
)
RECEIVE_DROP = Metric(
    "node_network_receive_drop_total",
    "counter",
    "Packets that arrived and were dropped.",
    ("device",),
    origin="node_exporter",
)
TRANSMIT_BYTES = Metric(
    "node_network_transmit_bytes_total", "counter", "Bytes sent.", ("device",), origin="node_exporter"
)
TRANSMIT_PACKETS = Metric(
    "node_network_transmit_packets_total", "counter", "Packets sent.", ("device",), origin="node_exporter"
)
TRANSMIT_ERRS = Metric(
    "node_network_transmit_errs_total",
    "counter",
    "Packets that could not be sent.",
    ("device",),
    origin="node_exporter",
)
TRANSMIT_DROP = Metric(
    "node_network_transmit_drop_total",
    "counter",
    "Packets that were dropped instead of sent.",
    ("device",),
    origin="node_exporter",
)
SPEED = Metric(
    "node_network_speed_bytes",
    "gauge",
    "Bytes a second that the device can carry; absent where the device does not say.",
    ("device",),
    origin="node_exporter",
)
MTU = Metric(
    "node_network_mtu_bytes", "gauge", "Largest packet of the device.", ("device",), origin="node_exporter"
)

# Columns of /proc/net/dev: eight of receiving, then eight of sending.
_COLUMNS = {
    0: RECEIVE_BYTES,
    1: RECEIVE_PACKETS,
    2: RECEIVE_ERRS,
    3: RECEIVE_DROP,
    8: TRANSMIT_BYTES,
    9: TRANSMIT_PACKETS,
    10: TRANSMIT_ERRS,
    11: TRANSMIT_DROP,
}


def read(proc: Path) -> Iterator[Sample]:
    """Yield the counters of every device, and what the kernel says of its speed."""
    table = proc / "1/net/dev"  # the machine's own, not our container's; not everyone may read it
    if not os.access(table, os.R_OK):
        table = proc / "net/dev"
    devices = parse(table.read_text())
    for device, numbers in devices.items():
        for column, metric in _COLUMNS.items():
            yield metric.sample(numbers[column], device=device)
    if proc != Path("/proc"):
        return  # psutil would tell of our container's devices, which have the same names
    for device, facts in psutil.net_if_stats().items():
        if device in devices:
            yield MTU.sample(facts.mtu, device=device)
            if facts.speed:  # in megabits
                yield SPEED.sample(facts.speed * 1e6 / 8, device=device)


def parse(dev: str) -> dict[str, list[int]]:
    """Return the numbers of each device; the first two lines are headings."""
    lines = (line.rpartition(":") for line in dev.splitlines()[2:])
    return {device.strip(): [int(number) for number in rest.split()] for device, _, rest in lines}

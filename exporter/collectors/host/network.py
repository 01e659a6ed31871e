"""Traffic and state of each network device."""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalog import Metric, Sample
from exporter.collectors.host._metric import counter, gauge
from exporter.collectors.host._tree import Tree

RECEIVE_BYTES = counter("node_network_receive_bytes_total", "Bytes received.", "device")
RECEIVE_PACKETS = counter("node_network_receive_packets_total", "Packets received.", "device")
RECEIVE_ERRS = counter("node_network_receive_errs_total", "Packets that arrived damaged.", "device")
RECEIVE_DROP = counter("node_network_receive_drop_total", "Packets that arrived and were dropped.", "device")
RECEIVE_FIFO = counter("node_network_receive_fifo_total", "Packets lost because a buffer was full.", "device")
RECEIVE_FRAME = counter("node_network_receive_frame_total", "Packets of wrong length or checksum.", "device")
RECEIVE_COMPRESSED = counter(
    "node_network_receive_compressed_total", "Compressed packets received.", "device"
)
RECEIVE_MULTICAST = counter("node_network_receive_multicast_total", "Packets to a group received.", "device")
RECEIVE_NOHANDLER = counter(
    "node_network_receive_nohandler_total", "Packets dropped because no protocol wanted them.", "device"
)
TRANSMIT_BYTES = counter("node_network_transmit_bytes_total", "Bytes sent.", "device")
TRANSMIT_PACKETS = counter("node_network_transmit_packets_total", "Packets sent.", "device")
TRANSMIT_ERRS = counter("node_network_transmit_errs_total", "Packets that could not be sent.", "device")
TRANSMIT_DROP = counter(
    "node_network_transmit_drop_total", "Packets that were dropped instead of sent.", "device"
)
TRANSMIT_FIFO = counter(
    "node_network_transmit_fifo_total", "Packets not sent because a buffer was full.", "device"
)
TRANSMIT_COLLS = counter("node_network_transmit_colls_total", "Collisions while sending.", "device")
TRANSMIT_CARRIER = counter(
    "node_network_transmit_carrier_total", "Packets not sent because the line was gone.", "device"
)
TRANSMIT_COMPRESSED = counter("node_network_transmit_compressed_total", "Compressed packets sent.", "device")
UP = gauge("node_network_up", "1 when the device says that it works; lo never does.", "device")
CARRIER = gauge(
    "node_network_carrier", "1 when the line is connected; absent while the device is off.", "device"
)
CARRIER_CHANGES = counter(
    "node_network_carrier_changes_total", "Times that the line went or came back.", "device"
)
CARRIER_UP = counter("node_network_carrier_up_changes_total", "Times that the line came back.", "device")
CARRIER_DOWN = counter("node_network_carrier_down_changes_total", "Times that the line went.", "device")
SPEED = gauge(
    "node_network_speed_bytes",
    "Bytes a second that the device can carry; absent where the device does not say.",
    "device",
)
MTU = gauge("node_network_mtu_bytes", "Largest packet of the device.", "device")
QUEUE_LENGTH = gauge("node_network_transmit_queue_length", "Packets that may wait to be sent.", "device")
INFO = gauge(
    "node_network_info",
    "Always 1; the labels tell the device's addresses and state.",
    "device",
    "address",
    "broadcast",
    "duplex",
    "operstate",
    "adminstate",
    "ifalias",
)
ARP_ENTRIES = gauge("node_arp_entries", "Neighbours whose hardware address is known.", "device")
BONDING_SLAVES = gauge("node_bonding_slaves", "Devices that are joined into this one.", "master")
BONDING_ACTIVE = gauge("node_bonding_active", "Of these, the ones whose line works.", "master")

# Columns of /proc/net/dev: eight of receiving, then eight of sending.
_COLUMNS = (
    RECEIVE_BYTES,
    RECEIVE_PACKETS,
    RECEIVE_ERRS,
    RECEIVE_DROP,
    RECEIVE_FIFO,
    RECEIVE_FRAME,
    RECEIVE_COMPRESSED,
    RECEIVE_MULTICAST,
    TRANSMIT_BYTES,
    TRANSMIT_PACKETS,
    TRANSMIT_ERRS,
    TRANSMIT_DROP,
    TRANSMIT_FIFO,
    TRANSMIT_COLLS,
    TRANSMIT_CARRIER,
    TRANSMIT_COMPRESSED,
)
# These stay as they are until the line or the device itself changes, but for a few that an operator can set;
# and for some of them the kernel makes the reader wait while another sets up a device.
_FACTS: tuple[tuple[Metric, str, float], ...] = (
    (CARRIER, "carrier", 1),
    (CARRIER_UP, "carrier_up_count", 1),
    (CARRIER_DOWN, "carrier_down_count", 1),
    (SPEED, "speed", 1e6 / 8),  # the kernel tells megabits
    (MTU, "mtu", 1),
    (QUEUE_LENGTH, "tx_queue_len", 1),
)
_TEXTS = ("address", "broadcast", "duplex", "ifalias")
_LOOK_EVERY = 60.0  # seconds until a changed setting is seen
_FLAG_UP = 1  # IFF_UP: somebody switched the device on


class State(NamedTuple):
    """What tells that something has changed; the names are those of the files."""

    operstate: str
    flags: str
    carrier_changes: str


class Known:
    """The state of each device, and what is known of its line since it has that state."""

    def __init__(self) -> None:
        self._facts: dict[str, tuple[State, list[Sample]]] = {}
        self._until = 0.0
        self.states: dict[str, State] = {}
        self.looked = -1.0

    def look(self, tree: Tree, now: float) -> bool:
        """Read the states, and return whether nothing else is to be read."""
        if now >= self._until:  # once a minute everything is read anew
            self._facts.clear()
            self._until = now + _LOOK_EVERY
        self.states, self.looked = {}, now
        for device in tree.listed("class/net"):
            folder = f"class/net/{device}"
            state = State(*[tree.sys(f"{folder}/{name}") for name in State._fields])
            if state.flags:  # bonding_masters is a file among the devices
                self.states[device] = state
        return all(self._facts.get(device, ("",))[0] == state for device, state in self.states.items())

    def facts(self, tree: Tree, device: str) -> list[Sample]:
        """Return what is known of a device, read now if it has another state. That may have to wait."""
        state = self.states[device]
        if device not in self._facts or self._facts[device][0] != state:
            self._facts[device] = (state, list(_facts(tree, device, state)))
        return self._facts[device][1]


def read(tree: Tree, known: Known) -> Iterator[Sample]:
    """Yield the counters of every device, and what /sys tells of its line. `known` has looked before."""
    for device, numbers in parse(tree.net("dev")).items():
        for metric, number in zip(_COLUMNS, numbers, strict=True):
            yield Sample(metric, (device,), number)
    for device, state in known.states.items():
        yield Sample(UP, (device,), state.operstate == "up")
        if state.carrier_changes:
            yield Sample(CARRIER_CHANGES, (device,), int(state.carrier_changes))
        if (unwanted := tree.number(f"class/net/{device}/statistics/rx_nohandler")) is not None:
            yield Sample(RECEIVE_NOHANDLER, (device,), unwanted)
        yield from known.facts(tree, device)
    for device, count in parse_arp(tree.maybe_net("arp")).items():
        yield ARP_ENTRIES.sample(count, device=device)
    for master in tree.sys("class/net/bonding_masters").split():
        slaves = tree.sys(f"class/net/{master}/bonding/slaves").split()
        yield BONDING_SLAVES.sample(len(slaves), master=master)
        yield BONDING_ACTIVE.sample(sum(_works(tree, master, slave) for slave in slaves), master=master)


def _facts(tree: Tree, device: str, state: State) -> Iterator[Sample]:
    folder = f"class/net/{device}"
    for metric, file, factor in _FACTS:
        number = tree.number(f"{folder}/{file}")
        if number is not None and number >= 0:  # -1: a virtual device has no speed
            yield Sample(metric, (device,), number * factor)
    yield INFO.sample(
        1,
        device=device,
        operstate=state.operstate,
        adminstate="up" if int(state.flags, 16) & _FLAG_UP else "down",
        **{name: tree.sys(f"{folder}/{name}") for name in _TEXTS},
    )


def _works(tree: Tree, master: str, slave: str) -> bool:
    # The kernel renamed the links in 3.13.
    states = (
        tree.sys(f"class/net/{master}/{link}_{slave}/bonding_slave/mii_status") for link in ("lower", "slave")
    )
    return "up" in states


def parse(dev: str) -> dict[str, list[int]]:
    """Return the numbers of each device; the first two lines are headings."""
    lines = (line.rpartition(":") for line in dev.splitlines()[2:])
    return {device.strip(): [int(number) for number in rest.split()] for device, _, rest in lines}


def parse_arp(arp: str) -> dict[str, int]:
    """Return the number of lines that name a device; the first is a heading."""
    counts: dict[str, int] = {}
    for line in arp.splitlines()[1:]:
        device = line.split()[-1]
        counts[device] = counts.get(device, 0) + 1
    return counts

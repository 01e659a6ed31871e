"""Packets on their way through the kernel: what each processor handled, and tracked connections."""

from collections.abc import Iterator

from exporter.catalog import Sample
from exporter.collectors.host._metric import counter, gauge
from exporter.collectors.host._tree import Tree

PROCESSED = counter("node_softnet_processed_total", "Packets that a processor took from the devices.", "cpu")
DROPPED = counter("node_softnet_dropped_total", "Packets dropped because its queue was full.", "cpu")
SQUEEZED = counter(
    "node_softnet_times_squeezed_total", "Times that it stopped with packets left: out of time.", "cpu"
)
COLLISIONS = counter(
    "node_softnet_cpu_collision_total", "Times that it met another processor at a device.", "cpu"
)
RECEIVED_RPS = counter("node_softnet_received_rps_total", "Packets handed over by another processor.", "cpu")
FLOW_LIMIT = counter("node_softnet_flow_limit_count_total", "Packets of flows that were too large.", "cpu")
BACKLOG = gauge("node_softnet_backlog_len", "Packets that wait in its queue.", "cpu")
ENTRIES = gauge("node_nf_conntrack_entries", "Connections that the firewall tracks.")
LIMIT = gauge("node_nf_conntrack_entries_limit", "Connections that it can track; then new ones are dropped.")
FOUND = gauge("node_nf_conntrack_stat_found", "Packets of tracked connections.")
INVALID = gauge("node_nf_conntrack_stat_invalid", "Packets that fit no connection.")
IGNORE = gauge("node_nf_conntrack_stat_ignore", "Packets that were not tracked.")
INSERT = gauge("node_nf_conntrack_stat_insert", "Connections tracked anew.")
INSERT_FAILED = gauge("node_nf_conntrack_stat_insert_failed", "Connections that could not be tracked.")
DROP = gauge("node_nf_conntrack_stat_drop", "Packets dropped because their connection could not be tracked.")
EARLY_DROP = gauge("node_nf_conntrack_stat_early_drop", "Connections given up to make room for new ones.")
RESTART = gauge("node_nf_conntrack_stat_search_restart", "Searches begun anew because the table had changed.")

_SOFTNET = (
    (0, PROCESSED),
    (1, DROPPED),
    (2, SQUEEZED),
    (8, COLLISIONS),
    (9, RECEIVED_RPS),
    (10, FLOW_LIMIT),
    (11, BACKLOG),
)
_CPU_COLUMN = 12  # older kernels leave it out, and count the lines of processors that are switched on
_CONNTRACK = {
    "found": FOUND,
    "invalid": INVALID,
    "ignore": IGNORE,
    "insert": INSERT,
    "insert_failed": INSERT_FAILED,
    "drop": DROP,
    "early_drop": EARLY_DROP,
    "search_restart": RESTART,
}


def read(tree: Tree) -> Iterator[Sample]:
    """Yield what each processor handled, and the table of connections where the firewall keeps one."""
    for place, numbers in enumerate(parse_hex(tree.maybe_net("softnet_stat"))):
        cpu = str(numbers[_CPU_COLUMN] if len(numbers) > _CPU_COLUMN else place)
        for column, metric in _SOFTNET:
            if column < len(numbers):
                yield Sample(metric, (cpu,), numbers[column])
    for file, metric in (("count", ENTRIES), ("max", LIMIT)):
        if text := tree.maybe(f"sys/net/netfilter/nf_conntrack_{file}"):
            yield metric.sample(int(text))
    heads, _, rest = tree.maybe_net("stat/nf_conntrack").partition("\n")
    sums = [sum(column) for column in zip(*parse_hex(rest), strict=False)]
    for name, total in zip(heads.split(), sums, strict=False):
        if known := _CONNTRACK.get(name):
            yield known.sample(total)


def parse_hex(text: str) -> list[list[int]]:
    """Return the numbers of each line; the kernel writes them in hexadecimal."""
    return [[int(field, 16) for field in line.split()] for line in text.splitlines()]

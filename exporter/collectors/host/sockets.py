"""Sockets in use, and the memory and datagrams that wait in them."""

from collections.abc import Iterator

from exporter.catalog import Metric, Sample
from exporter.collectors.host._metric import gauge
from exporter.collectors.host._tree import Tree

UDP_QUEUES = gauge(
    "node_udp_queues",
    "Bytes that wait in UDP sockets; much in rx is a program that does not keep up.",
    "queue",
    "ip",
)

_INUSE = "Sockets of this protocol in use."
_MEMORY = "Memory that these sockets hold, in pages."
_METRICS = {
    metric.name: metric
    for metric in (
        gauge("node_sockstat_sockets_used", "Sockets of all protocols in use."),
        gauge("node_sockstat_TCP_inuse", "TCP connections, and sockets that listen."),
        gauge("node_sockstat_TCP_orphan", "TCP connections that no program holds any more."),
        gauge("node_sockstat_TCP_tw", "TCP connections that ended and still wait (TIME_WAIT)."),
        gauge("node_sockstat_TCP_alloc", "TCP sockets made, in whatever state."),
        gauge("node_sockstat_TCP_mem", _MEMORY),
        gauge("node_sockstat_TCP_mem_bytes", "Memory that TCP sockets hold."),
        gauge("node_sockstat_UDP_inuse", _INUSE),
        gauge("node_sockstat_UDP_mem", _MEMORY),
        gauge("node_sockstat_UDP_mem_bytes", "Memory that UDP sockets hold."),
        gauge("node_sockstat_UDPLITE_inuse", _INUSE),
        gauge("node_sockstat_RAW_inuse", _INUSE),
        gauge("node_sockstat_FRAG_inuse", "Packets of which parts have not arrived."),
        gauge("node_sockstat_FRAG_memory", "Bytes that their parts hold."),
        gauge("node_sockstat_TCP6_inuse", _INUSE),
        gauge("node_sockstat_UDP6_inuse", _INUSE),
        gauge("node_sockstat_UDPLITE6_inuse", _INUSE),
        gauge("node_sockstat_RAW6_inuse", _INUSE),
        gauge("node_sockstat_FRAG6_inuse", "Packets of which parts have not arrived."),
        gauge("node_sockstat_FRAG6_memory", "Bytes that their parts hold."),
    )
}

_NO_QUEUES = "heading"


def declared_metrics() -> Iterator[Metric]:
    """Yield the metrics that have the names of the file's fields."""
    yield from _METRICS.values()


def read(tree: Tree, page: int) -> Iterator[Sample]:
    """Yield what this kernel counts; `page` is the size of a page of memory in bytes."""
    numbers = {
        name: number
        for file in ("sockstat", "sockstat6")
        for name, number in parse(tree.maybe_net(file)).items()
    }
    for name, number in numbers.items():
        if metric := _METRICS.get(f"node_sockstat_{name}"):
            yield Sample(metric, (), number)
        if metric := _METRICS.get(f"node_sockstat_{name}_bytes"):
            yield Sample(metric, (), number * page)
    for file, count, ip in (("udp", "UDP_inuse", "v4"), ("udp6", "UDP6_inuse", "v6")):
        # Without a socket the kernel would still search all of its table.
        text = _NO_QUEUES if numbers.get(count) == 0 else tree.maybe_net(file)
        if text:
            sent, received = parse_queues(text)
            yield UDP_QUEUES.sample(sent, queue="tx", ip=ip)
            yield UDP_QUEUES.sample(received, queue="rx", ip=ip)


def parse(sockstat: str) -> dict[str, int]:
    """Return the numbers by protocol and field, as `TCP_inuse`."""
    numbers = {}
    for line in sockstat.splitlines():
        protocol, *fields = line.replace(":", "").split()
        for field, number in zip(fields[::2], fields[1::2], strict=False):
            numbers[f"{protocol}_{field}"] = int(number)
    return numbers


def parse_queues(udp: str) -> tuple[int, int]:
    """Return the bytes that wait to be sent and to be fetched in all sockets; the file has them in hex."""
    queues = [line.split()[4].partition(":") for line in udp.splitlines()[1:]]
    return sum(int(sent, 16) for sent, _, _ in queues), sum(int(received, 16) for _, _, received in queues)

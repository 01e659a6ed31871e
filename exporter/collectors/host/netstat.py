"""What the network protocols count: connections, resent segments, refused and broken packets."""

from collections.abc import Iterator
from functools import lru_cache

from exporter.catalog import Metric, Sample
from exporter.collectors.host._metric import untyped
from exporter.collectors.host._tree import Tree

_METRICS = {
    metric.name.removeprefix("node_netstat_"): metric
    for metric in (
        untyped("node_netstat_Icmp6_InErrors", "ICMP messages (IPv6) that arrived broken."),
        untyped("node_netstat_Icmp6_InMsgs", "ICMP messages (IPv6) received."),
        untyped("node_netstat_Icmp6_OutMsgs", "ICMP messages (IPv6) sent."),
        untyped("node_netstat_Icmp_InErrors", "ICMP messages that arrived broken."),
        untyped("node_netstat_Icmp_InMsgs", "ICMP messages received."),
        untyped("node_netstat_Icmp_OutMsgs", "ICMP messages sent."),
        untyped("node_netstat_Ip6_InOctets", "Bytes received over IPv6."),
        untyped("node_netstat_Ip6_OutOctets", "Bytes sent over IPv6."),
        untyped("node_netstat_IpExt_InOctets", "Bytes received over IPv4."),
        untyped("node_netstat_IpExt_OutOctets", "Bytes sent over IPv4."),
        untyped("node_netstat_Ip_Forwarding", "1 when the machine passes on others' packets, else 2."),
        untyped("node_netstat_TcpExt_ListenDrops", "Connections refused because a program did not accept."),
        untyped("node_netstat_TcpExt_ListenOverflows", "Of these, for the reason that its queue was full."),
        untyped("node_netstat_TcpExt_SyncookiesFailed", "Wrong cookies received."),
        untyped("node_netstat_TcpExt_SyncookiesRecv", "Right cookies received."),
        untyped("node_netstat_TcpExt_SyncookiesSent", "Cookies sent: more wish to connect than can wait."),
        untyped("node_netstat_TcpExt_TCPOFOQueue", "Segments that came too early and were kept."),
        untyped("node_netstat_TcpExt_TCPRcvQDrop", "Segments dropped because a program did not fetch them."),
        untyped("node_netstat_TcpExt_TCPSynRetrans", "First segments sent again: nobody answered."),
        untyped("node_netstat_TcpExt_TCPTimeouts", "Times that an answer did not come in time."),
        untyped("node_netstat_Tcp_ActiveOpens", "Connections that this machine opened."),
        untyped("node_netstat_Tcp_CurrEstab", "Connections that stand now."),
        untyped("node_netstat_Tcp_InErrs", "Segments that arrived broken."),
        untyped("node_netstat_Tcp_InSegs", "Segments received."),
        untyped("node_netstat_Tcp_OutRsts", "Connections refused or broken off by this machine."),
        untyped("node_netstat_Tcp_OutSegs", "Segments sent."),
        untyped("node_netstat_Tcp_PassiveOpens", "Connections that others opened to this machine."),
        untyped("node_netstat_Tcp_RetransSegs", "Segments sent again; a share of those sent is lost."),
        untyped("node_netstat_Udp6_InDatagrams", "Datagrams (IPv6) received."),
        untyped("node_netstat_Udp6_InErrors", "Datagrams (IPv6) that could not be handed over."),
        untyped("node_netstat_Udp6_NoPorts", "Datagrams (IPv6) to a port where nobody listens."),
        untyped("node_netstat_Udp6_OutDatagrams", "Datagrams (IPv6) sent."),
        untyped("node_netstat_Udp6_RcvbufErrors", "Datagrams (IPv6) lost because a program was too slow."),
        untyped("node_netstat_Udp6_SndbufErrors", "Datagrams (IPv6) not sent because a buffer was full."),
        untyped("node_netstat_UdpLite6_InErrors", "UDP-Lite datagrams (IPv6) that could not be handed over."),
        untyped("node_netstat_UdpLite_InErrors", "UDP-Lite datagrams that could not be handed over."),
        untyped("node_netstat_Udp_InDatagrams", "Datagrams received."),
        untyped("node_netstat_Udp_InErrors", "Datagrams that could not be handed over."),
        untyped("node_netstat_Udp_NoPorts", "Datagrams to a port where nobody listens."),
        untyped("node_netstat_Udp_OutDatagrams", "Datagrams sent."),
        untyped("node_netstat_Udp_RcvbufErrors", "Datagrams lost because a program was too slow."),
        untyped("node_netstat_Udp_SndbufErrors", "Datagrams not sent because a buffer was full."),
    )
}

_METRICS_6 = {name.replace("6_", "6"): metric for name, metric in _METRICS.items() if "6_" in name}


def declared_metrics() -> Iterator[Metric]:
    """Yield the metrics that have the names of the files' fields."""
    yield from _METRICS.values()


def read(tree: Tree) -> Iterator[Sample]:
    """Yield the fields that node_exporter chooses, of those that this kernel counts."""
    for file in ("netstat", "snmp"):
        yield from parse(tree.maybe_net(file))
    for name, number in parse_lines(tree.maybe_net("snmp6")):
        if metric := _METRICS_6.get(name):
            yield Sample(metric, (), int(number))


def parse(text: str) -> Iterator[Sample]:
    """Yield the fields of a file in which a line of names stands over each line of numbers."""
    lines = text.splitlines()
    for heads, values in zip(lines[::2], lines[1::2], strict=False):
        numbers = values.split()
        for column, metric in _columns(heads):
            yield Sample(metric, (), int(numbers[column]))


@lru_cache(32)  # the names stay the same until another kernel starts
def _columns(heads: str) -> list[tuple[int, Metric]]:
    protocol, *names = heads.replace(":", "").split()
    named = ((column, _METRICS.get(f"{protocol}_{name}")) for column, name in enumerate(names, 1))
    return [(column, metric) for column, metric in named if metric]


def parse_lines(snmp6: str) -> Iterator[tuple[str, str]]:
    """Yield names and numbers of IPv6, where each line has one: `Ip6InOctets 256`."""
    words = snmp6.split()
    yield from zip(words[::2], words[1::2], strict=False)

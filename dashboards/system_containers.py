"""Rows of the system board: what containers and services use, sockets, the clock and sensors."""

from dashboards.layout import row
from dashboards.panels import timeseries
from dashboards.queries import increase, limit, rate, ratio, top, value
from dashboards.selectors import metric

_used = value(metric("container_memory_working_set_bytes"), "instance", "id", agg="max")
_allowed = value(metric("container_spec_memory_limit_bytes"), "instance", "id", agg="max")

CONTAINERS = row(
    "Containers and services",
    timeseries(
        "CPU of containers",
        top(8, rate(metric("container_cpu_usage_seconds_total"), "instance", "id").named("{{id}}", "short")),
        note="Cores in use, the eight busiest groups at each moment.",
    ),
    timeseries(
        "Memory of containers",
        top(8, _used.named("{{id}}")),
        note="What cannot be given back at once, of the eight largest groups at each moment.",
    ),
    timeseries(
        "Memory of containers against their limit",
        ratio(_used, _allowed).named("{{id}}"),
        limit("threshold:container_memory_used:ratio", "ContainerMemoryElevated"),
        top=1,
        note="At 100 % the kernel kills a program in the group. Groups without a limit are not drawn.",
    ),
    timeseries(
        "Held back by their quota",
        ratio(
            rate(metric("container_cpu_cfs_throttled_periods_total"), "instance", "id"),
            rate(metric("container_cpu_cfs_periods_total"), "instance", "id"),
        ).named("{{id}}"),
        top=1,
        note="Share of the periods in which a group had to wait although processors were free.",
    ),
    timeseries(
        "Killed for their memory",
        increase(metric("container_oom_events_total"), "instance", "id", over="5m").named("{{id}}"),
        increase(metric("node_vmstat_oom_kill"), "instance", over="5m").named("{{instance}} in all"),
        bars=True,
        interval="5m",
        note="Programs, in five minutes. The limit is too low, or something leaks.",
    ),
    timeseries(
        "Tasks of containers",
        top(8, value(metric("container_threads"), "instance", "id", agg="max").named("{{id}}")),
        note="Threads, of the eight groups with the most. A steady rise is a leak of threads.",
    ),
    collapsed=True,
)

SOCKETS = row(
    "Sockets, clock and sensors",
    timeseries(
        "TCP connections",
        value(metric("node_netstat_Tcp_CurrEstab"), "instance").named("{{instance}} open"),
        value(metric("node_sockstat_TCP_tw"), "instance").named("{{instance}} ended, still waiting"),
        note="Many that wait (TIME_WAIT) mean connections that are not used again.",
    ),
    timeseries(
        "Connections lost or refused",
        rate(metric("node_netstat_TcpExt_ListenDrops"), "instance").named("{{instance}} not accepted"),
        rate(metric("node_netstat_Tcp_RetransSegs"), "instance").named("{{instance}} segments sent again"),
        note="Not accepted: a program is too slow, or its queue short. Sent again: the line loses packets.",
    ),
    timeseries(
        "Clock off by at most",
        value(metric("node_timex_maxerror_seconds"), "instance", agg="max"),
        note="16 s means that nothing keeps the clock right: log lines and tokens get wrong times.",
    ),
    timeseries(
        "Temperatures",
        top(8, value(metric("node_hwmon_temp_celsius"), "instance", "chip", "sensor", agg="max")).named(
            "{{chip}} {{sensor}}", "celsius"
        ),
        note="The eight hottest sensors. Virtual machines have none.",
    ),
    collapsed=True,
)

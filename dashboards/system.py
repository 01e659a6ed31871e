"""System Overview: is anything down, which machine is short of what, and since when."""

from dashboards import foreign
from dashboards.colours import alerting, falling
from dashboards.common import UP_DOWN, last_restart, urgent_alerts
from dashboards.layout import cell, link, page, row
from dashboards.panels import Json, alertlist, stat, timeseries
from dashboards.queries import (
    age,
    ahead,
    before,
    limit,
    rate,
    ratio,
    recorded,
    rest,
    restarted,
    scaled,
    value,
    worst,
)
from dashboards.selectors import but, metric
from dashboards.system_containers import CONTAINERS, SOCKETS
from dashboards.tables import table
from exporter.instrument.ai import CALLS as AI_CALLS

UID = "watchkeeper-system"

MEMORY_LIMITS = "threshold:node_memory_used:ratio"
CPU_LIMITS = "threshold:node_cpu_used:ratio"
DISK_LIMITS = "threshold:node_filesystem_used:ratio"

_cpu = recorded("instance:node_cpu_used:ratio_rate5m", "percentunit", "instance", agg="max")
_memory = recorded("instance:node_memory_used:ratio", "percentunit", "instance", agg="max")
_available = value(metric("node_filesystem_avail_bytes"), "instance", "mountpoint", agg="max")
_size = value(metric("node_filesystem_size_bytes"), "instance", "mountpoint", agg="max")
_disk = rest(ratio(_available, _size))
_tomorrow = ratio(
    ahead(metric("node_filesystem_avail_bytes"), "instance", "mountpoint", seconds=86_400, over="6h"), _size
)

_now = row(
    "Now",
    stat(
        "Targets up",
        ratio(value(foreign.UP), value(foreign.UP, agg="count")),
        "Share of the targets that Prometheus can read. Below 100 % some panels are blind: see the alerts.",
        colours=falling(0.5, 1),
        leads_to=link("watchkeeper-monitoring"),
    ),
    urgent_alerts(),
    last_restart(),
    stat(
        "CPU, busiest host",
        worst(_cpu),
        "Share of the processors in use, as the mean of five minutes. Waiting for a disk does not count.",
        colours=alerting(CPU_LIMITS),
    ),
    stat(
        "Memory, fullest host",
        worst(_memory),
        "Share of the memory that programs cannot get any more. It colours where the alerts fire.",
        colours=alerting(MEMORY_LIMITS),
    ),
    stat(
        "Disk, fullest mount",
        worst(_disk),
        "Share of the space in use. The row on disks says which mount it is.",
        colours=alerting(DISK_LIMITS),
    ),
    stat(
        "Errors",
        recorded("service:http_errors:ratio_rate5m", "percentunit", agg="max"),
        "Share of requests answered with a 5xx in the last five minutes, of the worst service.",
        colours=alerting("threshold:http_errors:ratio"),
        leads_to=link("watchkeeper-api"),
    ),
    stat(
        "95th percentile",
        recorded("service:http_request_duration_seconds:p95_5m", "s", agg="max"),
        "One request in twenty took longer than this in the last five minutes, in the slowest service.",
        colours=alerting("threshold:http_request_duration_seconds:p95"),
        leads_to=link("watchkeeper-api"),
    ),
    stat(
        "Workflows that fail",
        recorded("service_workflow:workflow_failures:ratio_rate15m", "percentunit", agg="max"),
        "Share of the runs of the last 15 minutes, of the worst workflow.",
        colours=alerting("threshold:workflow_failures:ratio"),
        leads_to=link("watchkeeper-business"),
    ),
    stat(
        "Postgres",
        value(metric("pg_up"), agg="min"),
        "Whether the exporter gets in.",
        words=UP_DOWN,
        leads_to=link("watchkeeper-database"),
    ),
    stat(
        "Redis",
        value(metric("redis_up"), agg="min"),
        "Whether the exporter gets in.",
        words=UP_DOWN,
        leads_to=link("watchkeeper-database"),
    ),
    stat(
        "AI calls that fail",
        ratio(rate(AI_CALLS, outcome="error", over="15m"), rate(AI_CALLS, over="15m")),
        "Share of the last 15 minutes' calls that ended in an error after all retries.",
        colours=alerting("threshold:ai_api_failures:ratio"),
        leads_to=link("watchkeeper-ai"),
    ),
    alertlist(),
    table(
        "Hosts",
        worst(_cpu, "instance").named("CPU"),
        worst(_memory, "instance").named("Memory"),
        worst(_disk, "instance").named("Fullest disk"),
        age(metric("node_boot_time_seconds"), "instance").named("Up for"),
        note="Every host, the busiest on top. A host's name leads to this board for it alone.",
        colours={
            "CPU": alerting(CPU_LIMITS),
            "Memory": alerting(MEMORY_LIMITS),
            "Fullest disk": alerting(DISK_LIMITS),
        },
        links={"instance": link(UID, instance=cell("instance"))},
        width=12,
        height=6,
    ),
)

_processor_and_memory = row(
    "Processor and memory",
    timeseries(
        "CPU in use",
        _cpu,
        before(worst(_cpu), "1w", "busiest host a week ago"),
        limit(CPU_LIMITS, "CpuHigh"),
        top=1,
        note="Mean of five minutes. Near 100 %, requests wait for a processor.",
    ),
    timeseries(
        "CPU time by mode",
        rate(metric("node_cpu_seconds_total"), "mode", mode=but("idle")).named("{{mode}}", "short"),
        stacked=True,
        note="Cores in use. Much iowait points to a disk, much steal to a neighbour on the same machine.",
    ),
    timeseries(
        "Memory in use",
        _memory,
        limit(MEMORY_LIMITS, "MemoryElevated"),
        top=1,
        note="Share that programs cannot get any more; the dashed line is where the first alert fires.",
    ),
    timeseries(
        "Memory by use",
        value(metric("node_memory_AnonPages_bytes")).named("programs"),
        value(metric("node_memory_Slab_bytes")).named("kernel"),
        value(metric("node_memory_Cached_bytes")).named("file cache"),
        value(metric("node_memory_Buffers_bytes")).named("buffers"),
        value(metric("node_memory_MemFree_bytes")).named("free"),
        stacked=True,
        note="File cache and buffers are given back when programs need memory.",
    ),
)

_received = rate(metric("node_network_receive_bytes_total"), "instance", device=but("lo"))
_sent = rate(metric("node_network_transmit_bytes_total"), "instance", device=but("lo"))

_disks_and_network = row(
    "Disks and network",
    timeseries(
        "Disk space in use",
        _disk,
        limit(DISK_LIMITS, "DiskElevated"),
        limit(DISK_LIMITS, "DiskHigh"),
        top=1,
        note="At 100 % databases stop. Clear space or grow the disk.",
    ),
    timeseries(
        "Free space in 24 hours",
        _tomorrow,
        note="Share of the space left tomorrow if it goes on as in the last six hours; below 0 it is full.",
    ),
    timeseries(
        "Disk throughput",
        rate(metric("node_disk_read_bytes_total"), "instance", "device").named(
            "{{instance}} {{device}} read"
        ),
        mirrored=rate(metric("node_disk_written_bytes_total"), "instance", "device").named(
            "{{instance}} {{device}} written"
        ),
        note="Read is drawn upwards, written downwards.",
    ),
    timeseries(
        "Disk busy",
        rate(metric("node_disk_io_time_seconds_total"), "instance", "device"),
        top=1,
        note="Share of the time with work under way. Near 100 % a single disk is the bottleneck.",
    ),
    timeseries(
        "Network traffic",
        scaled(_received, 8, "bps").named("{{instance}} received"),
        mirrored=scaled(_sent, 8, "bps").named("{{instance}} sent"),
        note="Received is drawn upwards, sent downwards.",
    ),
    timeseries(
        "Network errors and drops",
        rate(metric("node_network_receive_errs_total"), "instance").named(
            "{{instance}} received damaged", "pps"
        ),
        rate(metric("node_network_receive_drop_total"), "instance").named(
            "{{instance}} dropped on arrival", "pps"
        ),
        rate(metric("node_network_transmit_errs_total"), "instance").named("{{instance}} not sent", "pps"),
        rate(metric("node_network_transmit_drop_total"), "instance").named(
            "{{instance}} dropped instead of sent", "pps"
        ),
        note="Lasting errors point to a cable, a driver or a full queue.",
    ),
)

_pressure = row(
    "Pressure and files",
    timeseries(
        "Waiting for resources",
        rate(metric("node_pressure_cpu_waiting_seconds_total"), "instance", agg="max").named(
            "{{instance}} processor"
        ),
        rate(metric("node_pressure_memory_waiting_seconds_total"), "instance", agg="max").named(
            "{{instance}} memory"
        ),
        rate(metric("node_pressure_io_waiting_seconds_total"), "instance", agg="max").named(
            "{{instance}} disk"
        ),
        note="Share of the time in which at least one task waited: the kernel's own verdict on a shortage.",
    ),
    timeseries(
        "Standing still for resources",
        rate(metric("node_pressure_memory_stalled_seconds_total"), "instance", agg="max").named(
            "{{instance}} memory"
        ),
        rate(metric("node_pressure_io_stalled_seconds_total"), "instance", agg="max").named(
            "{{instance}} disk"
        ),
        note="Share of the time in which no task could go on. Anything above 0 for long hurts users.",
    ),
    timeseries(
        "Load",
        value(metric("node_load1"), "instance").named("{{instance}} 1 min"),
        value(metric("node_load15"), "instance").named("{{instance}} 15 min"),
        note="Compare with the number of cores; lasting load above it means waiting.",
    ),
    timeseries(
        "Swapping",
        rate(metric("node_vmstat_pswpin"), "instance").named("{{instance}} read back"),
        rate(metric("node_vmstat_pswpout"), "instance").named("{{instance}} moved out"),
        note="Pages per second. Steady movement both ways means that memory is too small.",
    ),
    timeseries(
        "Open files of the system",
        ratio(
            value(metric("node_filefd_allocated"), "instance"),
            value(metric("node_filefd_maximum"), "instance"),
        ),
        note="Share of what the kernel allows. At 100 % no program can open a file or a connection.",
    ),
    collapsed=True,
)

_processes = row(
    "Processes",
    timeseries(
        "Memory of processes",
        value(foreign.PROCESS_MEMORY, "job", "instance"),
        note="A line that only rises between restarts is a leak.",
    ),
    timeseries(
        "CPU of processes",
        rate(foreign.PROCESS_CPU, "job", "instance").named("{{job}} {{instance}}", "short"),
        note="Cores in use. A Python process without extra threads cannot use more than one.",
    ),
    timeseries(
        "Open files of processes",
        ratio(
            value(foreign.PROCESS_OPEN_FILES, "job", "instance"),
            value(foreign.PROCESS_MAX_FILES, "job", "instance"),
        ),
        note="Share of what each process may open. A steady rise means connections or files are not closed.",
    ),
    timeseries(
        "Restarts of processes",
        restarted(foreign.PROCESS_START, "job", "instance", over="1h"),
        bars=True,
        interval="1h",
        note="In the hour before. One that starts again and again crashes, or is killed for its memory.",
    ),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "System Overview",
        _now,
        _processor_and_memory,
        _disks_and_network,
        _pressure,
        _processes,
        CONTAINERS,
        SOCKETS,
        description="Machines and processes: is anything down, what is short, since when.",
    )

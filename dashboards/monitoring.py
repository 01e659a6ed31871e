"""Monitoring itself: can the other boards be believed, is everything read, judged and sent in time."""

from collections.abc import Mapping

from dashboards import foreign
from dashboards.colours import Colour, Step, falling, rising
from dashboards.common import last_restart, urgent_alerts
from dashboards.layout import cell, link, page, row
from dashboards.panels import Json, alertlist, stat, timeseries
from dashboards.queries import RANGE, age, growth, increase, rate, ratio, value, worst
from dashboards.selectors import metric
from dashboards.tables import table

UID = "watchkeeper-monitoring"
SYSTEM = "watchkeeper-system"

READ: Mapping[float, tuple[str, Colour]] = {1: ("in force", "green"), 0: ("REFUSED", "red")}
WORKS = (Step(None, "red"), Step(1, "green"))
ANY = (Step(None, "green"), Step(1, "orange"))

_success = metric("watchkeeper_collector_success")
_duration = metric("watchkeeper_collector_duration_seconds")
_last = metric("watchkeeper_collector_last_success_timestamp_seconds")
_failures = metric("watchkeeper_collector_failures_total")
_rules = ratio(
    value(foreign.RULES_DURATION, "rule_group", agg="max"),
    value(foreign.RULES_INTERVAL, "rule_group", agg="max"),
)

_now = row(
    "Now",
    stat(
        "Targets up",
        ratio(value(foreign.UP), value(foreign.UP, agg="count")),
        "Share of the targets that Prometheus can read. What is not read is not judged.",
        colours=falling(0.5, 1),
    ),
    stat(
        "Collectors that work",
        value(_success, agg="avg"),
        "Share of the exporter's collectors and their parts whose last run gave samples.",
        colours=falling(0.5, 1),
    ),
    stat(
        "Busiest group of rules",
        worst(_rules),
        "Time of its last evaluation as a share of its interval. At 100 % alerts come late.",
        colours=rising(0.5, 0.9),
    ),
    stat(
        "Alerts not passed on",
        increase(foreign.ALERTS_DROPPED, over=RANGE),
        "In the shown time. Alertmanager was gone, or refused them: nobody was told.",
        colours=ANY,
        decimals=0,
    ),
    urgent_alerts(),
    last_restart(),
    alertlist(
        family="targets|target_missing|collectors|config_reload|rules|notifications|store|instrumentation"
    ),
    stat(
        "Exporter's settings",
        value(metric("watchkeeper_config_last_reload_successful"), agg="min"),
        "REFUSED means that the file has a fault and older settings go on: `watchkeeper config` names it.",
        words=READ,
        height=6,
    ),
    stat(
        "Prometheus's settings",
        value(foreign.RELOADED, agg="min"),
        "REFUSED means that prometheus.yml or a rule file has a fault and the older ones go on.",
        words=READ,
        height=6,
    ),
    stat(
        "Alertmanager's settings",
        value(foreign.AM_RELOADED, agg="min"),
        "REFUSED means that alertmanager.yml has a fault and the older one goes on.",
        words=READ,
        height=6,
    ),
)

_read = row(
    "What is read",
    table(
        "Targets",
        value(foreign.UP, "job", "instance", agg="min").named("Up"),
        value(foreign.SCRAPE_DURATION, "job", "instance", agg="max").named("Scrape takes"),
        value(foreign.SCRAPE_SAMPLES, "job", "instance", agg="max").named("Samples"),
        note="Every target. Its name leads to the machine's and processes' board for it alone.",
        colours={"Up": WORKS, "Scrape takes": rising(5, 9)},
        links={"instance": link(SYSTEM, instance=cell("instance"))},
        width=12,
    ),
    table(
        "Collectors",
        value(_success, "instance", "collector", agg="min").named("Works"),
        value(_duration, "instance", "collector", agg="max").named("Takes"),
        age(_last, "instance", "collector").named("Last success"),
        note="What the exporter reads, part by part; the slow ones have an interval of their own, so their "
        "samples may be that old. Sort by 'Works' to see what stands still.",
        colours={"Works": WORKS},
        links={"instance": link(UID, instance=cell("instance"))},
        width=12,
    ),
    timeseries(
        "Failed runs by reason",
        increase(_failures, "collector", "reason", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes, from a closed list of reasons. No data means that no run ever failed.",
    ),
    timeseries(
        "Age of the oldest samples",
        age(_last, "collector"),
        note="How long ago each collector last gave its samples. A line that rises without end stands still.",
    ),
)

_time = row(
    "Time it takes",
    timeseries(
        "Scrapes",
        value(foreign.SCRAPE_DURATION, "job", "instance", agg="max"),
        note="At the scrape time-out, 10 s by default, the whole page is lost.",
    ),
    timeseries(
        "Collectors",
        value(_duration, "collector", agg="max"),
        note="A collector at its deadline gives nothing in that scrape; the others are not held up.",
    ),
    timeseries(
        "Groups of rules",
        _rules,
        top=1,
        note="Last evaluation as a share of the interval.",
    ),
    timeseries(
        "Rules that failed or were left out",
        increase(foreign.RULES_FAILED, "rule_group", over="5m").named("{{rule_group}} failed"),
        increase(foreign.RULES_MISSED, "rule_group", over="5m").named("{{rule_group}} left out"),
        bars=True,
        interval="5m",
        note="In five minutes. Any failure is a rule that judges nothing.",
    ),
)

_size = row(
    "Series and space",
    timeseries(
        "Series in memory",
        value(foreign.HEAD_SERIES, "instance", agg="max"),
        note="Prometheus needs some kilobytes for each. A step up after a release is often a new label.",
    ),
    timeseries(
        "Samples by target",
        value(foreign.SCRAPE_SAMPLES, "job", "instance", agg="max"),
        note="Which target a growing number of series comes from.",
    ),
    timeseries(
        "New series",
        value(foreign.SERIES_ADDED, "job", "instance", agg="max"),
        note="With each scrape. More than a few, all the time, means label values without a bound.",
    ),
    timeseries(
        "Samples stored",
        rate(foreign.SAMPLES).named("samples", "ops"),
        note="Samples per second over all targets.",
    ),
    timeseries(
        "Space on disk",
        value(foreign.STORED, "instance", agg="max"),
        note="Finished blocks; the first one is written after two hours.",
    ),
    timeseries(
        "Growth of the page in an hour",
        growth(foreign.SCRAPE_SAMPLES, "job", "instance", over="1h", agg="max"),
        note="Samples more than an hour before. It ends at 0 when all label values have been seen.",
    ),
    collapsed=True,
)

_sent = row(
    "Alerts and messages",
    timeseries(
        "Alerts passed to Alertmanager",
        increase(foreign.ALERTS_SENT, "alertmanager", over="5m"),
        increase(foreign.ALERTS_REFUSED, "alertmanager", over="5m").named("{{alertmanager}} refused"),
        interval="5m",
        note="In five minutes; the Watchdog alone makes some. None means that nothing can be alerted.",
    ),
    timeseries(
        "Alerts held",
        value(foreign.HELD_ALERTS, "state", agg="max"),
        note="Suppressed ones are silenced, or a higher tier of the same condition fires.",
    ),
    timeseries(
        "Messages by channel",
        increase(foreign.NOTIFIED, "integration", over="5m"),
        interval="5m",
        note="In five minutes, tries included.",
    ),
    timeseries(
        "Messages that failed",
        increase(foreign.NOT_NOTIFIED, "integration", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes. A channel that fails is silent when it is needed: try it with "
        "scripts/test_alerts.sh.",
    ),
    collapsed=True,
)

_inside = row(
    "Inside the application",
    timeseries(
        "Failures of the instrumentation",
        increase(metric("watchkeeper_instrumentation_errors_total"), "part", over="5m"),
        increase(metric("ai_instrumentation_errors_total"), "stage", over="5m").named("AI: {{stage}}"),
        bars=True,
        interval="5m",
        note="In five minutes. The application did not notice them, but some numbers are too low.",
    ),
    timeseries(
        "Workers that count together",
        value(metric("watchkeeper_workers"), "instance", agg="max"),
        note="Fewer than were started: some died, or write elsewhere.",
    ),
    timeseries(
        "Log lines lost",
        increase(metric("log_records_dropped_total"), "log_class", over="5m"),
        bars=True,
        interval="5m",
        note="In five minutes. The log's queue was full, or its file could not be written.",
    ),
    timeseries(
        "Shown by one worker only",
        value(metric("watchkeeper_store_degraded"), "instance", agg="max"),
        top=1,
        note="1 means that no file could be shared, so counters jump between workers.",
    ),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "Monitoring itself",
        _now,
        _read,
        _time,
        _size,
        _sent,
        _inside,
        description="Targets, collectors, rules and messages: can the other boards be believed.",
    )

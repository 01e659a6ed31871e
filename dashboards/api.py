"""API Performance: are users hurt, by errors or by waiting, on which route, since when."""

from dashboards.colours import STATUS_CLASSES, Step, alerting, falling, rising
from dashboards.common import last_restart, urgent_alerts
from dashboards.layout import cell, link, page, row, variable
from dashboards.panels import Json, alertlist, heatmap, stat, timeseries
from dashboards.queries import (
    RANGE,
    age,
    before,
    heat,
    increase,
    limit,
    quantile,
    rate,
    ratio,
    recorded,
    spent,
    top,
    value,
    within,
    worst,
)
from dashboards.selectors import like, metric, unlike
from dashboards.tables import table
from exporter.instrument import asgi as http

UID = "watchkeeper-api"

ERROR_LIMITS = "threshold:http_errors:ratio"
LATENCY_LIMITS = "threshold:http_request_duration_seconds:p95"
OBJECTIVE = 0.5  # seconds; the objective for the 95th percentile, and a bucket, so the share is exact

BURN_LIMITS = "threshold:slo_burn:factor"
_budget = recorded("threshold:slo_budget:ratio", "percentunit", "objective", agg="max")
_route = like("$route")
_errors = recorded("service:http_errors:ratio_rate5m", "percentunit", "service")
_all = recorded("service:http_requests:rate5m", "reqps", agg="sum").named("now")
_slow = recorded("service:http_request_duration_seconds:p95_5m", "s", agg="max").named("now")
_requests = rate(http.REQUESTS, "route", route=_route).named("Requests/s", "reqps")
_failed = rate(http.REQUESTS, "route", route=_route, status=like("5..")).named("Errors", "reqps")

_now = row(
    "Now",
    stat(
        "Availability",
        ratio(increase(http.REQUESTS, over=RANGE, status=unlike("5..")), increase(http.REQUESTS, over=RANGE)),
        "Share of the requests in the shown time that did not fail by our fault. The objective is 99.9 %.",
        colours=falling(0.99, 0.999),
        decimals=2,
    ),
    stat(
        "Errors",
        worst(_errors),
        "Share of requests answered with a 5xx in the last five minutes, of the worst service. "
        "It colours where the alerts fire.",
        colours=alerting(ERROR_LIMITS),
    ),
    stat(
        "95th percentile",
        _slow,
        "One request in twenty took longer than this in the last five minutes, in the slowest service. "
        "It colours where the alerts fire.",
        colours=alerting(LATENCY_LIMITS),
    ),
    stat(
        "Requests",
        _all,
        "Requests per second, as the mean of five minutes. No traffic at all is as bad as errors.",
    ),
    urgent_alerts(),
    last_restart(),
    alertlist(family="errors|error_count|latency|slo|availability|traffic.*|component|dependency"),
    timeseries(
        "Requests by answer",
        rate(http.DURATION, "status_class", route=_route).named("{{status_class}}", "reqps"),
        stacked=True,
        colours=STATUS_CLASSES,
        note="Requests of the chosen routes.",
        height=6,
    ),
    timeseries(
        "Requests against last week",
        _all,
        before(_all, "1w", "a week ago"),
        note="Mean of five minutes. The same hour of the same weekday is what is usual.",
        height=6,
    ),
)

_signals = row(
    "Errors and waiting",
    timeseries(
        "Error ratio",
        _errors,
        limit(ERROR_LIMITS, "ErrorRateWarning"),
        limit(ERROR_LIMITS, "ErrorRateHigh"),
        note="Share of requests answered with a 5xx. The dashed lines are where alerts fire.",
    ),
    timeseries(
        "Errors by route",
        top(5, ratio(_failed, _requests).named("{{route}}")),
        note="Share of 5xx of the five worst routes at each moment.",
    ),
    timeseries(
        "Waiting time",
        quantile(0.5, http.DURATION, route=_route),
        quantile(0.95, http.DURATION, route=_route),
        quantile(0.99, http.DURATION, route=_route),
        limit(LATENCY_LIMITS, "LatencyElevated"),
        limit(LATENCY_LIMITS, "LatencyHigh"),
        note="Percentiles of the chosen routes. A dot is one request: it leads to its trace. The dashed "
        "lines are where alerts on the 95th percentile fire.",
    ),
)

_burn = {
    window: ratio(
        recorded(f"objective:slo_bad:ratio_rate{window}", "percentunit", "objective", agg="max"), _budget
    )
    for window in ("1h", "6h", "1d", "3d")
}

_objectives = row(
    "Objectives",
    timeseries(
        "Error budget burns",
        _burn["1h"].named("{{objective}}", "short"),
        limit(BURN_LIMITS, "SloBudgetBurnHour"),
        limit(BURN_LIMITS, "SloBudgetBurnHours"),
        note="How many times faster than allowed, over an hour: at 1 the budget of 30 days lasts 30 days, at "
        "14.4 two. The dashed lines are where alerts fire.",
    ),
    table(
        "Objectives",
        _burn["1h"].named("Burn 1 h", "short"),
        _burn["6h"].named("Burn 6 h", "short"),
        _burn["1d"].named("Burn 1 d", "short"),
        _burn["3d"].named("Burn 3 d", "short"),
        recorded("objective:slo_bad:ratio_rate3d", "percentunit", "objective", agg="max").named("Bad, 3 d"),
        _budget.named("Allowed"),
        note="Of the worst service. 'Bad' is the share of requests that missed the objective, 'Allowed' "
        "the share that may.",
        colours={f"Burn {name}": alerting(BURN_LIMITS) for name in ("1 h", "6 h", "1 d", "3 d")},
        width=12,
    ),
    collapsed=True,
)

_where = row(
    "Where",
    table(
        "Routes",
        _requests,
        ratio(_failed, _requests).named("Errors"),
        quantile(0.95, http.DURATION, "route", route=_route).named("95th percentile"),
        spent(http.DURATION, "route", route=_route).named("At once"),
        note="Every route with traffic, the busiest on top; 'At once' is how many of its requests ran at the "
        "same time on average. A route's name leads to this board for it alone.",
        colours={"Errors": alerting(ERROR_LIMITS), "95th percentile": alerting(LATENCY_LIMITS)},
        links={"route": link(UID, route=cell("route"))},
        height=9,
    ),
)

_spread = row(
    "Spread",
    heatmap(
        "Waiting time of all requests",
        heat(http.DURATION, route=_route),
        "Two bands mean two kinds of request: a cache hit and a miss, or one slow route.",
    ),
    timeseries(
        "Answered within half a second",
        within(OBJECTIVE, http.DURATION, "route", route=_route),
        note="Share of the requests of each route. The objective is 95 %.",
        top=1,
    ),
    timeseries(
        "Waiting time against last week",
        _slow,
        before(_slow, "1w", "a week ago"),
        note="The 95th percentile of the slowest service now, and at the same hour a week ago.",
    ),
    timeseries(
        "Slowest routes",
        top(5, quantile(0.95, http.DURATION, "route", route=_route).named("{{route}}")),
        note="The five routes with the highest 95th percentile at each moment.",
    ),
    timeseries(
        "Size of answers",
        top(5, quantile(0.95, http.RESPONSE_SIZE, "route", route=_route).named("{{route}}")),
        note="The five routes with the largest answers at each moment, by the 95th percentile.",
    ),
    collapsed=True,
)

_load = row(
    "Load and failures",
    timeseries(
        "Requests in progress",
        value(http.IN_PROGRESS, "route", route=_route),
        note="A pile that grows while the rate does not means that something behind the route is stuck.",
    ),
    timeseries(
        "Open WebSockets",
        value(http.CONNECTIONS, "route"),
        note="A sudden drop is a restart or a broken proxy.",
    ),
    timeseries(
        "Refused requests",
        rate(http.REQUESTS, "status", route=_route, status=like("4..")).named("{{status}}", "reqps"),
        stacked=True,
        note="401 and 403 are refused identities, 404 a broken link or a scanner, 429 a limit, 499 a client "
        "that went away.",
    ),
    timeseries(
        "Exceptions",
        increase(http.EXCEPTIONS, "exception", over="5m", route=_route),
        bars=True,
        note="In five minutes, by type. No data means that none was ever raised.",
        interval="5m",
    ),
    timeseries(
        "WebSockets opened",
        rate(metric("websocket_connections_total"), "route"),
        note="Many openings with few open ones: clients lose their connection and come back.",
    ),
    timeseries(
        "Event loop lag",
        value(metric("health_event_loop_lag_seconds"), "instance", agg="max"),
        note="How long a ready task waits. Above a tenth of a second, something blocks the loop: a "
        "synchronous call, or too much work for one process.",
    ),
    timeseries(
        "Log lines",
        rate(metric("log_records_total"), "level", level=like("WARNING|ERROR|CRITICAL")),
        note="Lines a second from warnings up. A jump is the place to begin reading.",
    ),
    collapsed=True,
)

_parts = row(
    "Parts that the application needs",
    table(
        "Health of the parts",
        value(metric("health_component_up"), "instance", "component", agg="min").named("Works"),
        value(metric("health_component_degraded"), "instance", "component", agg="max").named("Degraded"),
        value(metric("health_component_latency_seconds"), "instance", "component", agg="max").named(
            "Check takes"
        ),
        age(metric("health_component_last_check_timestamp_seconds"), "instance", "component").named(
            "Checked before"
        ),
        note="What the application itself finds of its database, cache, providers and integrations; its page "
        "/api/v1/health/detailed gives the reasons.",
        colours={
            "Works": (Step(None, "red"), Step(1, "green")),
            "Degraded": (Step(None, "green"), Step(1, "orange")),
            "Checked before": rising(60, 300),
        },
        links={"instance": link(UID, instance=cell("instance"))},
        width=12,
    ),
    timeseries(
        "Servers and services that answer",
        value(metric("dependency_up"), "dependency", agg="min"),
        top=1,
        note="0 while no worker can use it.",
    ),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "API Performance",
        _now,
        _signals,
        _objectives,
        _where,
        _spread,
        _load,
        _parts,
        description="Requests, errors and waiting times, by route.",
        variables=[variable("route", http.REQUESTS)],
    )

"""API Performance: are users hurt, by errors or by waiting, on which route, since when."""

from dashboards.colours import STATUS_CLASSES, alerting, falling
from dashboards.common import last_restart, urgent_alerts
from dashboards.layout import cell, link, page, row, variable
from dashboards.panels import Json, alertlist, heatmap, stat, timeseries
from dashboards.queries import (
    RANGE,
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
from dashboards.selectors import like, unlike
from dashboards.tables import table
from exporter.instrument import asgi as http

UID = "watchkeeper-api"

ERROR_LIMITS = "threshold:http_errors:ratio"
LATENCY_LIMITS = "threshold:http_request_duration_seconds:p95"
OBJECTIVE = 0.5  # seconds; the objective for the 95th percentile, and a bucket, so the share is exact

_route = like("$route")
_errors = recorded("service:http_errors:ratio_rate5m", "percentunit", "service")
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
        recorded("service:http_request_duration_seconds:p95_5m", "s", agg="max"),
        "One request in twenty took longer than this in the last five minutes, in the slowest service. "
        "It colours where the alerts fire.",
        colours=alerting(LATENCY_LIMITS),
    ),
    stat(
        "Requests",
        recorded("service:http_requests:rate5m", "reqps", agg="sum"),
        "Requests per second, as the mean of five minutes. No traffic at all is as bad as errors.",
    ),
    urgent_alerts(),
    last_restart(),
    alertlist(family="errors|latency|availability"),
    timeseries(
        "Requests by answer",
        rate(http.DURATION, "status_class").named("{{status_class}}", "reqps"),
        stacked=True,
        colours=STATUS_CLASSES,
        note="All requests. Compare the shape with the same time yesterday.",
        height=6,
    ),
)

_signals = row(
    "Errors and waiting",
    timeseries(
        "Error ratio",
        _errors,
        limit(ERROR_LIMITS, "ErrorRateWarning"),
        note="Share of requests answered with a 5xx. The dashed line is where the first alert fires.",
    ),
    timeseries(
        "Waiting time",
        quantile(0.5, http.DURATION, route=_route),
        quantile(0.95, http.DURATION, route=_route),
        quantile(0.99, http.DURATION, route=_route),
        limit(LATENCY_LIMITS, "LatencyElevated"),
        note="Percentiles of the chosen routes, estimated within the histogram's buckets.",
    ),
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
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "API Performance",
        _now,
        _signals,
        _where,
        _spread,
        _load,
        description="Requests, errors and waiting times, by route.",
        variables=[variable("route", http.REQUESTS)],
    )

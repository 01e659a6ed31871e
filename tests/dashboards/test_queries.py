"""A query is right by construction: the metric's kind picks the form, and mistakes fail while building."""

import re

import pytest

from dashboards import queries, rules
from dashboards.queries import (
    RANGE,
    age,
    ahead,
    average,
    before,
    firing,
    growth,
    heat,
    increase,
    label_values,
    less,
    limit,
    plus,
    quantile,
    rate,
    ratio,
    recorded,
    rest,
    restarted,
    restarts,
    scaled,
    spent,
    top,
    value,
    within,
    worst,
)  # fmt: skip
from dashboards.selectors import but, like, metric, unlike
from tests.dashboards.metrics import BORROWED, FULL, OPEN, REQUESTS, STARTED, TASKS, TRAFFIC, WAITING
from tests.promql import parse

T = 'job=~"$job", instance=~"$instance", service=~"$service"'  # the choices at the head of every board

EXPRESSIONS = {
    "rate of a counter": (rate(REQUESTS), f"sum(rate(shop_requests_total{{{T}}}[$__rate_interval]))"),
    "rate by a label": (
        rate(REQUESTS, "route", status=like("5..")),
        f'sum by (route) (rate(shop_requests_total{{status=~"5..", {T}}}[$__rate_interval]))',
    ),
    "rate of a histogram counts": (
        rate(WAITING),
        f"sum(rate(shop_waiting_seconds_count{{{T}}}[$__rate_interval]))",
    ),
    "rate of a borrowed counter": (
        rate(BORROWED, "datname", datname=unlike("template.*")),
        f'sum by (datname) (rate(pg_shop_commits{{datname!~"template.*", {T}}}[$__rate_interval]))',
    ),
    "increase over the shown range": (
        increase(REQUESTS, over=RANGE, status=but("200")),
        f'sum(increase(shop_requests_total{{status!="200", {T}}}[$__range]))',
    ),
    "value": (value(OPEN, "route"), f"sum by (route) (shop_open_baskets{{{T}}})"),
    "value of a ratio": (value(FULL, agg="max"), f"max(shop_shelf_ratio{{{T}}})"),
    "age": (age(STARTED, agg="min"), f"min(time() - shop_start_timestamp_seconds{{{T}}})"),
    "quantile": (
        quantile(0.95, WAITING, "route"),
        f"histogram_quantile(0.95, sum by (le, route) "
        f"(rate(shop_waiting_seconds_bucket{{{T}}}[$__rate_interval])))",
    ),
    "average": (
        average(WAITING),
        f"sum(rate(shop_waiting_seconds_sum{{{T}}}[$__rate_interval])) / "
        f"(sum(rate(shop_waiting_seconds_count{{{T}}}[$__rate_interval])) > 0)",
    ),
    "share within a bound": (
        within(0.5, WAITING),
        f'sum(rate(shop_waiting_seconds_bucket{{le="0.5", {T}}}[$__rate_interval])) / '
        f"(sum(rate(shop_waiting_seconds_count{{{T}}}[$__rate_interval])) > 0)",
    ),
    "time spent": (spent(WAITING), f"sum(rate(shop_waiting_seconds_sum{{{T}}}[$__rate_interval]))"),
    "heat": (
        heat(WAITING),
        f"sum by (le) (increase(shop_waiting_seconds_bucket{{{T}}}[$__rate_interval]))",
    ),
    "forecast": (
        ahead(OPEN, seconds=60, over="1h"),
        f"min(predict_linear(shop_open_baskets{{{T}}}[1h], 60))",
    ),
    "top": (top(5, value(OPEN, "route")), f"topk(5, sum by (route) (shop_open_baskets{{{T}}}))"),
    "worst": (worst(value(OPEN, "route")), f"max(sum by (route) (shop_open_baskets{{{T}}}))"),
    "rest": (
        rest(ratio(value(OPEN), value(OPEN, agg="max"))),
        f"1 - (sum(shop_open_baskets{{{T}}}) / (max(shop_open_baskets{{{T}}}) > 0))",
    ),
    "scaled": (
        scaled(rate(TRAFFIC), 8, "bps"),
        f"sum(rate(shop_traffic_bytes_total{{{T}}}[$__rate_interval])) * 8",
    ),
    "what arrives under another name": (
        rate(TASKS, "job"), f"sum by (exported_job) (rate(shop_tasks_total{{{T}}}[$__rate_interval]))",
    ),
    "choosing by it": (
        rate(TASKS, job="x"), f'sum(rate(shop_tasks_total{{exported_job="x", {T}}}[$__rate_interval]))',
    ),
    "less": (
        less(rate(REQUESTS), rate(REQUESTS, status="200")),
        f"clamp_min(sum(rate(shop_requests_total{{{T}}}[$__rate_interval])) - "
        f'sum(rate(shop_requests_total{{status="200", {T}}}[$__rate_interval])), 0)',
    ),
    "growth": (growth(OPEN, "route", over="1d"), f"sum by (route) (delta(shop_open_baskets{{{T}}}[1d]))"),
    "starts": (
        restarted(STARTED, over="1h"), f"sum(changes(shop_start_timestamp_seconds{{{T}}}[1h]))",
    ),
    "a week before": (
        before(rate(REQUESTS, route=like("}[1m]")), "1w", "then"),
        f'sum(rate(shop_requests_total{{route=~"}}[1m]", {T}}}[$__rate_interval] offset 1w))',
    ),
    "both before": (
        before(ratio(value(OPEN), value(FULL, agg="max")), "1w", "then"),
        f"sum(shop_open_baskets{{{T}}} offset 1w) / (max(shop_shelf_ratio{{{T}}} offset 1w) > 0)",
    ),
    "an asked-for job": (value(OPEN, job="app"), 'sum(shop_open_baskets{job="app", instance=~"$instance", '
                         'service=~"$service"})'),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_query_is_the_promql_that_a_person_would_write(name):
    """Each form gives this expression to the letter, and Prometheus's grammar accepts it."""
    query, expected = EXPRESSIONS[name]
    assert query.expr == expected
    parse(query.expr)


REFUSED = {
    "rate of a gauge": (lambda: rate(OPEN), "is a gauge; this needs a counter or a histogram"),
    "value of a counter": (lambda: value(REQUESTS), "is a counter; this needs a gauge"),
    "quantile of a counter": (lambda: quantile(0.95, REQUESTS), "this needs a histogram"),
    "quantile in percent": (lambda: quantile(95, WAITING), "between 0 and 1"),
    "unknown label to group by": (lambda: rate(REQUESTS, "rote"), "not 'rote'"),
    "unknown label to choose by": (lambda: rate(REQUESTS, stat="500"), "not 'stat'"),
    "unknown label of a variable": (lambda: label_values(REQUESTS, "rote"), "not 'rote'"),
    "sum of ratios": (lambda: value(FULL), "a sum means nothing"),
    "value of a time": (lambda: value(STARTED, agg="max"), "age()"),
    "age of a count": (lambda: age(OPEN), "point in time"),
    "bound between buckets": (lambda: within(0.7, WAITING), "no bucket 0.7"),
    "unlike groups": (lambda: ratio(rate(REQUESTS, "route"), rate(REQUESTS)), "group both alike"),
    "difference of unlike groups": (lambda: less(rate(REQUESTS, "route"), rate(REQUESTS)), "cannot take"),
    "growth of a counter": (lambda: growth(REQUESTS, over="1h"), "this needs a gauge"),
    "sum of unlike units": (lambda: plus(rate(REQUESTS), rate(TRAFFIC)), "cannot add"),
    "label lost before the legend": (lambda: rate(REQUESTS).named("{{route}}"), "names 'route'"),
    "extreme by a lost label": (lambda: worst(rate(REQUESTS), "route"), "not in the result"),
    "unrecorded series": (lambda: recorded("service:no_such:rate5m", "s"), "no rule in alert_rules/"),
    "unknown alert": (lambda: limit("threshold:http_errors:ratio", "Typo"), "no threshold for the alert"),
    "undeclared metric": (lambda: metric("no_such_metric"), "nothing declares"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_fails_while_building(name):
    """What Grafana would show as an empty panel is a ValueError that says what is wrong."""
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


def test_labels_that_every_series_has_are_always_allowed():
    """Prometheus adds job and instance, the configuration service; no metric declares them."""
    assert rate(REQUESTS, "job", "instance", "service").legend == "{{job}} {{instance}} {{service}}"


def test_no_event_is_zero_and_no_traffic_is_no_data():
    """A service that never failed shows 0 %, one without requests no ratio, and nothing divides by zero."""
    failed = rate(REQUESTS, status=like("5.."))
    query = ratio(failed, rate(REQUESTS))
    assert query.expr == f"({failed.expr} or {rate(REQUESTS).expr} * 0) / ({rate(REQUESTS).expr} > 0)"


def test_a_missing_gauge_is_not_taken_for_zero():
    """When a part cannot be read, its share is unknown, not 0 %."""
    assert " or " not in ratio(value(OPEN), value(OPEN)).expr


def test_a_whole_bound_matches_both_spellings():
    """Clients write le as 1 or as 1.0."""
    assert r'le=~"1(\\.0)?"' in within(1, WAITING).expr


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        (rate(REQUESTS), "ops"),
        (rate(TRAFFIC), "Bps"),
        (increase(TRAFFIC), "bytes"),
        (quantile(0.5, WAITING), "s"),
        (value(FULL, agg="max"), "percentunit"),
        (value(OPEN, agg="count"), "short"),
        (ratio(rate(TRAFFIC), rate(TRAFFIC)), "percentunit"),
        (ratio(rate(TRAFFIC), rate(REQUESTS)), "Bps"),
    ],
)
def test_the_unit_follows_from_the_metric(query, unit):
    """Nobody types a unit that the name states already."""
    assert query.unit == unit


def test_a_legend_names_the_label_that_arrives():
    """The board says job; what Prometheus has is exported_job, beside the target's own job."""
    assert rate(TASKS, "job").legend == "{{exported_job}}"
    assert quantile(0.5, WAITING, "job").legend == "p50 {{job}}"


def test_waiting_times_of_requests_lead_to_their_traces():
    """Only the histogram that carries trace ids asks for them, and not for a week ago."""
    waiting = quantile(0.95, metric("http_request_duration_seconds"))
    assert waiting.exemplar
    assert heat(metric("http_request_duration_seconds")).exemplar
    assert not quantile(0.95, WAITING).exemplar
    assert not before(waiting, "1w", "then").exemplar


def test_text_in_matchers_is_escaped():
    """Backslashes and quotes reach Prometheus as they were meant."""
    query = value(OPEN, route=like(r'/a\.b"c'))
    assert r'route=~"/a\\.b\"c"' in query.expr
    parse(query.expr)


def test_firing_counts_to_zero_and_leaves_the_watchdog_out():
    """A quiet system shows 0, not "no data", although one alert always fires."""
    assert firing(priority="P0").expr == (
        'count(ALERTS{alertstate="firing", alertname!="Watchdog", priority="P0", service=~"$service"})'
        " or vector(0)"
    )


def test_restarts_are_seen_by_a_one_minute_step():
    """The window is twice the annotations' step."""
    assert restarts().expr == f"changes(process_start_time_seconds{{{T}}}[2m]) > 0"


def test_a_recorded_series_is_chosen_by_the_labels_of_its_level():
    """service:… has no instance, so choosing one must not empty the panel."""
    query = recorded("service:http_errors:ratio_rate5m", "percentunit", agg="max")
    assert query.expr == 'max(service:http_errors:ratio_rate5m{service=~"$service"})'


def test_thresholds_are_read_from_the_rules(tmp_path):
    """A rule file's numbers come with their priority; what is no constant is refused."""
    assert ("P2", 0.02) in rules.tiers("threshold:http_errors:ratio")
    with pytest.raises(ValueError, match="not a constant"):
        rules.tiers("service:http_errors:ratio_rate5m")
    (tmp_path / "empty.yml").write_text("# nothing yet\n")
    assert rules.recorded(tmp_path) == {}


def test_a_variable_offers_what_the_chosen_targets_have():
    """The routes of the chosen service, not of all."""
    assert label_values(REQUESTS, "route", "service") == (
        'label_values(shop_requests_total{service=~"$service"}, route)'
    )


def test_every_unit_is_one_that_grafana_knows():
    """An unknown unit would show as a suffix: the list holds Grafana's ids and its own `suffix:` form."""
    known = {
        "none", "short", "s", "bytes", "Bps", "bps", "pps", "percentunit", "reqps", "ops", "currencyUSD",
        "celsius",
    }  # fmt: skip
    assert {unit for unit in queries.Unit.__args__ if not unit.startswith("suffix:")} <= known

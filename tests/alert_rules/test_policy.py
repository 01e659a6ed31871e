"""What every alert owes its reader: labels, texts, a test in both directions, one place for numbers."""

import json
import re
from itertools import pairwise, permutations

import pytest

from exporter.inventory import everything
from tests import promql
from tests.alert_rules import rules
from tests.alert_rules.rules import (
    ALERTS,
    RECORDINGS,
    RULE_FILES,
    RULES,
    RUNBOOKS,
    THRESHOLDS,
    UNIT_TESTS,
)

UNIT_TESTS_READ = [rules.load(path) for path in UNIT_TESTS]
UNIT_TESTS_READ = [rules.load(path) for path in UNIT_TESTS]
UNIT_TESTS_READ = [rules.load(path) for path in UNIT_TESTS]
SEVERITIES = {"P0": "critical", "P1": "high", "P2": "medium", "P3": "low"}
RUNBOOK_URL = "https://github.com/watchkeeper/watchkeeper/blob/main/docs/runbooks/{}.md"
BOARDS = [json.loads(path.read_text()) for path in (rules.ROOT / "dashboards/generated").glob("*.json")]
PANELS = {
    (board["uid"], str(panel["id"]))
    for board in BOARDS
    for row in board["panels"]
    for panel in (row, *row.get("panels", ()))
    if panel["type"] != "row"
}

ALWAYS_FIRING = "Watchdog"
# These two never fire together: one needs the traffic that the other must not have.
EXCLUSIVE = {frozenset({"ErrorRateElevated", "Http500Seen"})}

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=str)


@each_alert
def test_an_alert_carries_the_labels_that_routes_and_groups_need(alert):
    """Exactly the agreed labels, with the severity that belongs to the priority."""
    assert set(alert.labels) == {"priority", "severity", "family", "service", "team"}
    expected = "none" if alert.name == ALWAYS_FIRING else SEVERITIES[alert.labels["priority"]]
    assert alert.labels["severity"] == expected


@each_alert
def test_an_alert_tells_what_happened_and_where_to_look(alert):
    """All five texts are there, the description shows something, and links lead to our pages."""
    assert set(alert.annotations) == {"summary", "description", "impact", "runbook_url", "dashboard_url"}
    assert all(text.strip() for text in alert.annotations.values())
    assert "{{" in alert.annotations["description"]
    assert alert.annotations["runbook_url"] in {RUNBOOK_URL.format(path.stem) for path in RUNBOOKS}
    link = re.match(
        r"http://localhost:3000/d/([\w-]+)\?var-.*&viewPanel=(\d+)$", alert.annotations["dashboard_url"]
    )
    assert link and link.groups() in PANELS


@each_alert
def test_an_alert_has_a_name_in_camel_case(alert):
    """Names read like those of the field: capitals, letters and digits, no separators."""
    assert re.fullmatch(r"([A-Z][a-z0-9]+)+", alert.name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.file}-{rule.name}")
def test_an_expression_parses(rule):
    """A second parser, which the drift tests rely on, understands every expression."""
    promql.parse(rule.expr)


@each_alert
def test_an_alert_compares_with_a_recorded_threshold(alert):
    """The only number in an alert is 0, as in "is not there"; every other number stands in thresholds.yml."""
    assert promql.compared_numbers(alert.expr) <= {0.0}


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: f"{rule.file}-{rule.name}")
def test_thresholds_and_only_thresholds_stand_in_their_file(rule):
    """A threshold is a bare vector(number) in thresholds.yml, so that changing it is changing one line."""
    is_threshold = rule.file == "thresholds"
    assert is_threshold == rule.name.startswith("threshold:")
    assert is_threshold == bool(re.fullmatch(r"vector\([0-9.]+\)", rule.expr))
    assert re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", rule.name)


def test_every_threshold_is_read_by_the_alert_that_it_names():
    """The label `alert` names a reader of the same priority; one without the label is read by somebody."""
    asked = {
        (alert.name, alert.labels["priority"], selector.name, str(matcher.value))
        for alert in ALERTS
        for selector in promql.selectors(alert.expr)
        for matcher in selector.matchers.matchers
        if matcher.name == "alert"
    }
    named = {
        (rule.labels["alert"], rule.labels["priority"], rule.name, rule.labels["alert"])
        for rule in THRESHOLDS
        if "alert" in rule.labels
    }
    assert asked == named
    read = {name for alert in ALERTS for name, _ in promql.names_and_labels(alert.expr)}
    assert {rule.name for rule in THRESHOLDS} <= read


def test_latency_thresholds_are_bucket_bounds():
    """Only then is "P95 above the threshold" exact, and the last bound can be reached but never exceeded."""
    metric = "http_request_duration_seconds"
    bounds = everything()[metric].buckets[:-1]
    values = [float(t.expr[7:-1]) for t in THRESHOLDS if t.name == f"threshold:{metric}:p95"]
    assert values
    assert [value for value in values if value not in bounds] == []


@each_alert
def test_an_alert_is_proved_at_its_boundary(alert):
    """Some unit test finds it silent one evaluation before it has waited long enough, and firing then."""
    checks = [
        (
            rules.seconds(content["evaluation_interval"]),
            sorted(
                (rules.seconds(check["eval_time"]), bool(check["exp_alerts"]))
                for check in case.get("alert_rule_test", ())
                if check["alertname"] == alert.name
            ),
        )
        for content in UNIT_TESTS_READ
        for case in content["tests"]
    ]
    if alert.name == ALWAYS_FIRING:
        assert any((0, True) in case for _, case in checks)
        return
    boundaries = [
        later
        for step, case in checks
        for (earlier, fires), (later, fires_later) in pairwise(case)
        if not fires and fires_later and later - earlier == step and earlier >= alert.wait - step
    ]
    assert boundaries


def test_every_rule_file_has_its_unit_tests():
    """The same name on both sides; thresholds are tested through the alerts that read them."""
    tested = {path.stem.removesuffix("_test") for path in UNIT_TESTS}
    assert tested == {path.stem for path in RULE_FILES} - {"thresholds"}


def test_a_lower_tier_is_silenced_by_every_higher_one_of_its_family():
    """Of two alerts of one family on one service and machine, exactly one keeps the other back."""
    for family in {alert.labels["family"] for alert in ALERTS}:
        tiers = [alert for alert in ALERTS if alert.labels["family"] == family]
        for one, other in permutations(tiers, 2):
            if frozenset({one.name, other.name}) in EXCLUSIVE:
                continue
            first, second = one.fired(instance="a"), other.fired(instance="a")
            assert rules.inhibits(first, second) != rules.inhibits(second, first), (one.name, other.name)
            if first["priority"] < second["priority"]:
                assert rules.inhibits(first, second)


@each_alert
def test_no_alert_silences_another_service(alert):
    """Trouble of one service never hides trouble of its neighbour."""
    neighbours = [other.fired(service="neighbour") for other in ALERTS]
    assert not any(rules.inhibits(alert.fired(), neighbour) for neighbour in neighbours)


def test_every_disk_pool_or_queue_is_silenced_by_its_own_higher_tier_alone():
    """Trouble of one disk never hides less trouble of another, whatever label tells them apart."""
    equal = rules.INHIBIT_RULES[0]["equal"]
    tiers = [(high, low) for high in ALERTS for low in ALERTS if rules.inhibits(high.fired(), low.fired())]
    assert tiers
    for high, low in tiers:
        if high.labels["family"] == low.labels["family"]:
            for label in set(equal) - {"family", "service"}:
                assert not rules.inhibits(high.fired(**{label: "one"}), low.fired(**{label: "other"}))


def test_burn_rates_are_those_of_a_30_day_budget():
    """A factor is the part of the budget that its long window may take, over the window's part of 30 days."""
    factors = {
        t.labels["alert"]: float(t.expr[7:-1]) for t in THRESHOLDS if t.name == "threshold:slo_burn:factor"
    }
    taken = {
        "SloBudgetBurnHour": (0.02, "1h", "5m"),
        "SloBudgetBurnHours": (0.05, "6h", "30m"),
        "SloBudgetBurnDay": (0.10, "1d", "2h"),
        "SloBudgetBurnDays": (0.10, "3d", "6h"),
    }
    assert factors == {
        name: pytest.approx(part * rules.seconds("30d") / rules.seconds(long))
        for name, (part, long, _) in taken.items()
    }
    # The short window is a twelfth of the long one, and each alert reads its own two.
    for alert in ALERTS:
        if alert.name in taken:
            _, long, short = taken[alert.name]
            assert rules.seconds(long) == 12 * rules.seconds(short)
            asked = {name for name, _ in promql.names_and_labels(alert.expr) if ":ratio_rate" in name}
            assert asked == {f"objective:slo_bad:ratio_rate{window}" for window in (long, short)}


def test_every_objective_can_burn_fast_enough_for_some_alert():
    """More than all requests cannot be bad, so a factor times a budget of 1 or more never fires."""
    factors = [float(t.expr[7:-1]) for t in THRESHOLDS if t.name == "threshold:slo_burn:factor"]
    budgets = {
        t.labels["objective"]: float(t.expr[7:-1])
        for t in THRESHOLDS
        if t.name == "threshold:slo_budget:ratio"
    }
    assert set(budgets) == {"availability", "latency_p50", "latency_p95", "latency_p99"}
    reachable = {name: sum(factor * budget < 1 for factor in factors) for name, budget in budgets.items()}
    assert reachable == {"availability": 4, "latency_p50": 1, "latency_p95": 4, "latency_p99": 4}

"""The reading of PromQL expressions that the tests of rules and dashboards rely on."""

import pytest

from dashboards.lint.promql import filled
from tests.promql import compared_numbers, grouping_labels, names_and_labels


def test_names_come_with_the_labels_of_their_own_matchers():
    """Every selector is reported with its own labels, also inside functions, ranges and on both sides."""
    expr = (
        'sum by (service) (rate(http_requests_total{status=~"5.."}[5m])) / on () group_left () up{job="app"}'
    )
    assert names_and_labels(expr) == [("http_requests_total", {"status"}), ("up", {"job"})]


def test_a_name_written_as_a_matcher_is_a_name():
    """`{__name__="up"}` asks for the metric `up`, and `__name__` is no label to look up."""
    assert names_and_labels('{__name__="up", job="app"}') == [("up", {"job"})]


def test_grouping_labels_are_those_of_aggregations_and_of_vector_matching():
    """by, without, on, ignoring and group_left all count."""
    expr = "sum by (a) (x) * on (b) group_left (c) max without (d) (y) unless ignoring (e) z"
    assert grouping_labels(expr) == {"a", "b", "c", "d", "e"}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("rate(x[$__rate_interval])", "rate(x[5m])"),
        ("max_over_time(x[$__range:$__interval])", "max_over_time(x[1h:1m])"),
        ('x{service=~"$service", route=~"${route:regex}"}', 'x{service=~"x", route=~"x"}'),
        ("topk($top, x)", "topk(5, x)"),
        ("rate(x[$window])", "rate(x[5m])"),
        ("sum by ($group, job) (x)", "sum by (x, job) (x)"),
    ],
)
def test_grafana_macros_become_something_that_parses(expr, expected):
    """Macros and variables are replaced according to the place where they stand."""
    assert filled(expr) == expected
    assert names_and_labels(expr)


def test_only_numbers_beside_a_comparison_are_compared_numbers():
    """Thresholds are found also inside arithmetic; quantiles and factors elsewhere are not thresholds."""
    assert compared_numbers("histogram_quantile(0.95, x) * 100") == set()
    assert compared_numbers("x > 2 * 5 and y == 0") == {0.0, 2.0, 5.0}


def test_an_expression_that_does_not_parse_is_shown():
    """The error carries the expression, so that a failing drift test says where to look."""
    with pytest.raises(ValueError, match=r"in: sum by"):
        names_and_labels("sum by (x")

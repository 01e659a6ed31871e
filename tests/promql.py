"""What a PromQL expression asks for: metric names, labels and literal numbers, read from its syntax tree."""

import promql_parser as promql

from dashboards.lint.promql import filled


def parse(expr: str) -> promql.Expr:
    """Parse an expression, Grafana's macros included; raises ValueError that shows the expression."""
    try:
        return promql.parse(filled(expr))
    except ValueError as error:
        raise ValueError(f"{error}\nin: {expr}") from error


def nodes(expr: str | promql.Expr) -> list[promql.Expr]:
    """Return every node of the syntax tree, outermost first."""
    found: list[promql.Expr] = []
    promql.walk(parse(expr) if isinstance(expr, str) else expr, found.append)
    return found


def names_and_labels(expr: str) -> list[tuple[str, set[str]]]:
    """Return each selector's metric name ("" where a selector has none) and the labels that it matches."""
    result = []
    for selector in selectors(expr):
        matchers = [
            *selector.matchers.matchers,
            *(m for group in selector.matchers.or_matchers for m in group),
        ]
        labels = {matcher.name for matcher in matchers}
        names = [matcher.value for matcher in matchers if matcher.name == "__name__"]
        result.append((selector.name or "".join(names), labels - {"__name__"}))
    return result


def selectors(expr: str) -> list[promql.VectorSelector]:
    """Return the vector selectors, those inside ranges included."""
    return [node for node in nodes(expr) if isinstance(node, promql.VectorSelector)]


def grouping_labels(expr: str) -> set[str]:
    """Return the labels named in by, without, on, ignoring, group_left and group_right."""
    labels: set[str] = set()
    for node in nodes(expr):
        if isinstance(node, promql.AggregateExpr) and node.modifier:
            labels.update(node.modifier.labels)
        if isinstance(node, promql.BinaryExpr) and node.modifier:
            labels.update(node.modifier.matching.labels if node.modifier.matching else ())
            labels.update(node.modifier.group_labels or ())
    return labels


def compared_numbers(expr: str) -> set[float]:
    """Return the literal numbers that stand beside a comparison, as 5 does in `x > 5` and in `x > 2 * 5`."""
    numbers: set[float] = set()
    for node in nodes(expr):
        if isinstance(node, promql.BinaryExpr) and str(node.op) in {"==", "!=", ">", "<", ">=", "<="}:
            for side in (node.lhs, node.rhs):
                numbers |= {n.val for n in nodes(side) if isinstance(n, promql.NumberLiteral)}
    return numbers

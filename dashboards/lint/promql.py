"""PromQL as a board has it: parsed with Grafana's macros filled in, and which labels a result keeps."""

import re
from typing import Any

MACROS = {
    "__rate_interval": "5m",
    "__interval": "1m",
    "__interval_ms": "60000",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
}
_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?::\w+)?\}|\$(?P<plain>\w+)|\[\[(?P<old>\w+)\]\]")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'")
_SAME_LABELS = {"topk", "bottomk", "limitk", "limit_ratio"}
_NEW_LABELS = {"label_replace", "label_join", "vector", "absent", "absent_over_time", "info", "scalar"}


def parse(expr: str) -> Any:
    """Return the syntax tree. Raises ValueError for what is no PromQL."""
    import promql_parser  # here, so that building boards does not need it

    return promql_parser.parse(filled(expr))


def filled(expr: str) -> str:
    """Return the expression with text that parses in place of macros and variables."""
    strings = [(match.start(), match.end()) for match in _STRING.finditer(expr)]

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"] or match["old"]
        if name in MACROS:
            return MACROS[name]
        if any(start < match.start() < end for start, end in strings):
            return "x"
        before = expr[: match.start()].rstrip()
        if before.endswith(("[", ":", "offset")):
            return "5m"
        if re.search(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*$", before):
            return "x"
        return "5"

    return _VARIABLE.sub(value, expr)


def kind(node: Any) -> str:
    """Return the name of a node's class: AggregateExpr, BinaryExpr, Call, VectorSelector …"""
    return type(node).__name__


def children(node: Any) -> list[Any]:
    """Return the nodes right below."""
    match kind(node):
        case "AggregateExpr":
            return [node.expr] + ([node.param] if node.param is not None else [])
        case "BinaryExpr":
            return [node.lhs, node.rhs]
        case "Call":
            return list(node.args)
        case "MatrixSelector":
            return [node.vector_selector]
        case "ParenExpr" | "SubqueryExpr" | "UnaryExpr":
            return [node.expr]
    return []


def nodes(node: Any) -> list[Any]:
    """Return the node and all below, outermost first."""
    return [node, *(found for child in children(node) for found in nodes(child))]


def name_of(selector: Any) -> str:
    """Return the metric's name, "" where a selector has none."""
    if selector.name:
        return str(selector.name)
    equal = [
        m.value for m in selector.matchers.matchers if m.name == "__name__" and str(m.op) == "MatchOp.Equal"
    ]
    return str(equal[0]) if len(equal) == 1 else ""


def grouped(node: Any) -> tuple[str, set[str]]:
    """Return how an aggregation groups: "by" or "without", and the labels."""
    if node.modifier is None:
        return "by", set()
    return ("without" if "without" in str(node.modifier.type).lower() else "by"), set(node.modifier.labels)


def kept(node: Any) -> set[str] | None:
    """Return the labels that the result has at most; None where the expression does not tell."""
    match kind(node):
        case "AggregateExpr":
            if str(node.op) == "count_values":
                return None
            if str(node.op) in _SAME_LABELS:
                return kept(node.expr)
            how, labels = grouped(node)
            inner = kept(node.expr)
            if how == "without":
                return None if inner is None else inner - labels
            return labels if inner is None else labels & inner
        case "BinaryExpr":
            return _kept_by_pair(node)
        case "Call":
            if node.func.name in _NEW_LABELS:
                return None
            found = [kept(argument) for argument in node.args if kind(argument) != "NumberLiteral"]
            labels_ = found[0] if found else None
            return (
                labels_ - {"le"}
                if labels_ is not None and node.func.name == "histogram_quantile"
                else labels_
            )
        case "ParenExpr" | "SubqueryExpr" | "UnaryExpr":
            return kept(node.expr)
    return None


def _kept_by_pair(node: Any) -> set[str] | None:
    sides = [side for side in (node.lhs, node.rhs) if kind(side) != "NumberLiteral"]
    if len(sides) < 2:
        return kept(sides[0]) if sides else None
    one, other = (kept(side) for side in sides)
    if str(node.op) == "or":
        return None if one is None or other is None else one | other
    if node.modifier is not None and str(node.modifier.card).endswith(("ManyToOne", "OneToMany")):
        return None  # group_left and group_right bring labels along
    return one if one is not None else other

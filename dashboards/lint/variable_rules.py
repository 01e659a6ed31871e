"""Rules on variables and links: defined, used, right in their queries, and leading somewhere."""

import json
import re
from collections.abc import Collection, Iterator

from dashboards.lint import promql
from dashboards.lint.walk import Finding, Json, strings

_USE = re.compile(r"\$\{(\w+)(?:\.\w+)*(?::[^}]*)?\}|\$(\w+)|\[\[(\w+)(?::\w+)?\]\]")
_BOARD = re.compile(r"(?:^|[^\w/])/d/([A-Za-z0-9_-]+)")
_FUNCTION = re.compile(r"(label_values|label_names|metrics|query_result)\((.*)\)", re.DOTALL)
EVERYTHING = {".+", ".*"}


def source(board: Json) -> Iterator[Finding]:
    """A reader chooses the data source; the field's name for that variable is `datasource`."""
    names = [v.get("name", "") for v in _variables(board) if v.get("type") == "datasource"]
    if not any(name == "datasource" or name.endswith("_datasource") for name in names):
        yield Finding("datasource-variable", "", "$.templating.list", "has no variable `datasource`")


def defined(board: Json) -> Iterator[Finding]:
    """Each variable that is used is defined: an unknown one is sent to Prometheus as text."""
    names = {variable.get("name") for variable in _variables(board)}
    for path, text in strings(board):
        for name in _used(text):
            if name not in names and not name.startswith("__") and not name.isdecimal():
                yield Finding("undefined-variable", "", path, f"${name} is not defined")


def used(board: Json) -> Iterator[Finding]:
    """Each variable changes something: another one only misleads the reader."""
    everywhere = _used(json.dumps({**board, "templating": {}}, ensure_ascii=False))
    for place, variable in enumerate(_variables(board)):
        others = [other for other in _variables(board) if other is not variable]
        if variable.get("name") not in everywhere | _used(json.dumps(others, ensure_ascii=False)):
            path = f"$.templating.list[{place}]"
            yield Finding("unused-variable", "", path, f"${variable.get('name')} is used nowhere")


def asked(board: Json) -> Iterator[Finding]:
    """A variable's query is one that Grafana knows and asks again with the time; All finds everything."""
    for place, variable in enumerate(_variables(board)):
        path = f"$.templating.list[{place}]"
        if variable.get("type") != "query":
            continue
        query = variable.get("query")
        text = query.get("query", "") if isinstance(query, dict) else str(query or "")
        call = _FUNCTION.fullmatch(text.strip())
        if call is None:
            message = f"is no label_values(), label_names(), metrics() or query_result(): {text!r}"
            yield Finding("variable-query", "", f"{path}.query", message)
        elif call[1] == "query_result" or (call[1] == "label_values" and "," in call[2]):
            try:
                promql.parse(call[2] if call[1] == "query_result" else call[2].rpartition(",")[0])
            except ValueError as error:
                yield Finding("variable-query", "", f"{path}.query", f"{error}: {text}")
        if variable.get("refresh") != 2:
            message = "is not asked again when the time range changes: say 2"
            yield Finding("variable-refresh", "", f"{path}.refresh", message)
        if variable.get("includeAll") and variable.get("allValue") not in EVERYTHING:
            message = f"All should be one of {sorted(EVERYTHING)}, not a list of all values"
            yield Finding("variable-all", "", f"{path}.allValue", message)


RULES = (source, defined, used, asked)


def links(board: Json, uids: Collection[str]) -> Iterator[Finding]:
    """Each link to a board leads to one of these."""
    for path, text in strings(board):
        for uid in _BOARD.findall(text):
            if uid not in uids:
                yield Finding("link", "", path, f"leads to no board that is looked at here: {uid!r}")


def _variables(board: Json) -> list[Json]:
    return (board.get("templating") or {}).get("list") or []


def _used(text: str) -> set[str]:
    return {name for found in _USE.findall(text) for name in found if name}

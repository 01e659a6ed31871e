"""Faults in a board's JSON that Grafana would hide: `python -m dashboards --lint FILE…`, for any board."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dashboards.lint import layout_rules, look_rules, query_rules, variable_rules
from dashboards.lint.walk import Finding, Json

__all__ = ["RULES", "Finding", "lint", "lint_files"]

RULES = (*layout_rules.RULES, *look_rules.RULES, *query_rules.RULES, *variable_rules.RULES)


def lint(
    board: Json,
    *,
    known: Mapping[str, set[str] | None] | None = None,
    uids: Sequence[str] | None = None,
) -> list[Finding]:
    """Return what is wrong with a board.

    `known` are the series that exist with their labels (None: not listed), `uids` the boards that links may
    lead to; without them names and links are not looked at.
    """
    rules: list[Callable[[Json], Iterator[Finding]]] = [*RULES]
    if known is not None:
        rules.append(lambda board: query_rules.declared(board, dict(known)))
    if uids is not None:
        rules.append(lambda board: variable_rules.links(board, uids))
    return [finding for rule in rules for finding in _judged(rule, board)]


def _judged(rule: Callable[[Json], Iterator[Finding]], board: Json) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(rule(board))
    except (AttributeError, KeyError, TypeError) as error:
        # A text where an object belongs, somewhere: what was found before it still counts.
        promise = (rule.__doc__ or "").partition("\n")[0]
        findings.append(
            Finding("shape", "", "$", f"a part has the wrong shape ({error}), left open: {promise}")
        )
    return findings


def lint_files(paths: Sequence[Path], known: Mapping[str, set[str] | None] | None = None) -> list[str]:
    """Return one line for each finding in the files, and for each file that holds no board.

    A board inside `dashboard` or `spec`, as Grafana's API and Kubernetes give it, is taken out.
    """
    lines, boards = [], {}
    for path in paths:
        try:
            boards[path] = _board(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            lines.append(f"{path}: {error}")
    uids = [str(board.get("uid")) for board in boards.values()]
    seen: dict[str, Path] = {}
    for path, board in boards.items():
        for key in ("uid", "title"):
            first = seen.setdefault(f"{key} {board.get(key)}", path)
            if first != path:
                lines.append(f"{path}: $.{key}: is that of {first} as well [unique]")
        lines += [f"{path}: {finding}" for finding in lint(board, known=known, uids=uids)]
    return lines


def _board(content: object) -> Json:
    for key in ("dashboard", "spec"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict) and "elements" in content:
        raise ValueError("this is a board of schema v2, whose shape is not known here")
    if not isinstance(content, dict) or not isinstance(content.get("panels"), list):
        raise ValueError("this is no board: it has no list of panels")
    return content

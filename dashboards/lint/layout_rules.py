"""Rules on places and names: the grid, ids, rows, titles, and what a shipped board must not carry."""

import itertools
import re
from collections.abc import Iterator

from dashboards.lint.facts import GONE_PANELS
from dashboards.lint.walk import Finding, Json, Part, drawn, panels

COLUMNS = 24
SILENT = {"row", "text", "alertlist", "dashlist", "news", "annolist", "welcome"}  # they ask no data source


def grid(board: Json) -> Iterator[Finding]:
    """Each panel lies within the 24 columns."""
    for part in panels(board):
        place = part.json.get("gridPos") or {}
        numbers = [place.get(key) for key in "xywh"]
        if not all(isinstance(number, int) for number in numbers):
            yield part.finding("grid", f"needs whole numbers x, y, w and h, not {place}", ".gridPos")
        elif not (
            place["x"] >= 0
            and place["y"] >= 0
            and 1 <= place["w"] <= COLUMNS - place["x"]
            and place["h"] >= 1
        ):
            yield part.finding("grid", f"is not within {COLUMNS} columns: {place}", ".gridPos")


def overlap(board: Json) -> Iterator[Finding]:
    """No two panels share a cell: of the board, or of one closed row."""
    levels = [list(_level("$.panels", board.get("panels") or []))]
    levels += [
        list(_level(f"{part.path}.panels", part.json["panels"]))
        for part in levels[0]
        if part.json.get("panels")
    ]
    for level in levels:
        for one, other in itertools.combinations(level, 2):
            if _meet(one.json.get("gridPos") or {}, other.json.get("gridPos") or {}):
                yield other.finding("overlap", f"lies over the panel {one.panel!r}", ".gridPos")


def ids(board: Json) -> Iterator[Finding]:
    """Each panel has a number of its own: links to panels and alerts name it."""
    seen: dict[int, str] = {}
    for part in panels(board):
        number = part.json.get("id")
        if not isinstance(number, int):
            yield part.finding("id", f"needs a number, not {number!r}", ".id")
        elif number in seen:
            yield part.finding("id", f"{number} is the number of {seen[number]!r} as well", ".id")
        else:
            seen[number] = part.panel


def open_row(board: Json) -> Iterator[Finding]:
    """An open row's panels stand beside it; inside it Grafana does not show them."""
    for part in panels(board):
        if part.json.get("type") == "row" and not part.json.get("collapsed") and part.json.get("panels"):
            yield part.finding("open-row", "is open but holds panels, which Grafana will not show", ".panels")


def described(board: Json) -> Iterator[Finding]:
    """Each panel has a title and says what it is, what is bad and what to do."""
    for part in drawn(board):
        if part.json.get("type") in SILENT:
            continue
        if not part.panel.strip():
            yield part.finding("title", "has no title", ".title")
        if not (part.json.get("description") or "").strip():
            yield part.finding("description", "has no description", ".description")


def asked(board: Json) -> Iterator[Finding]:
    """A panel that shows data asks for some, each query under a name of its own."""
    for part in drawn(board):
        if part.json.get("type") in SILENT:
            continue
        targets = part.json.get("targets") or []
        if not targets and "libraryPanel" not in part.json:
            yield part.finding("targets", "asks for nothing", ".targets")
        names = [target.get("refId") for target in targets]
        for place, name in enumerate(names):
            if not name or name in names[:place]:
                yield part.finding(
                    "ref-id", f"needs a refId of its own, not {name!r}", f".targets[{place}].refId"
                )


def panel_type(board: Json) -> Iterator[Finding]:
    """No panel of a kind that Grafana has removed."""
    for part in drawn(board):
        kind = part.json.get("type")
        if kind in GONE_PANELS:
            yield part.finding(
                "panel-type", f"{kind!r} is gone from Grafana: use {GONE_PANELS[kind]!r}", ".type"
            )


def shipped(board: Json) -> Iterator[Finding]:
    """A board that is shipped as a file has a uid and no marks of the Grafana that it was saved in."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", str(board.get("uid") or "")):
        yield Finding("uid", "", "$.uid", f"needs 1 to 40 letters, digits, - and _, not {board.get('uid')!r}")
    if not (board.get("title") or "").strip():
        yield Finding("title", "", "$.title", "the board has no title")
    if board.get("id") is not None:
        yield Finding("id", "", "$.id", "is the number in another Grafana's database: leave it out")
    if board.get("__inputs"):
        yield Finding("inputs", "", "$.__inputs", "only a person's import fills these in: use a variable")
    if board.get("editable") is not False:
        yield Finding("editable", "", "$.editable", "edits in the browser would be lost: say false")


RULES = (grid, overlap, ids, open_row, described, asked, panel_type, shipped)


def _level(path: str, many: list[Json]) -> Iterator[Part]:
    return (Part(panel.get("title", ""), f"{path}[{place}]", panel) for place, panel in enumerate(many))


def _meet(one: Json, other: Json) -> bool:
    try:
        return bool(
            one["x"] < other["x"] + other["w"]
            and other["x"] < one["x"] + one["w"]
            and one["y"] < other["y"] + other["h"]
            and other["y"] < one["y"] + one["h"]
        )
    except (KeyError, TypeError):
        return False  # the rule on the grid says so

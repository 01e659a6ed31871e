"""Panels that stand on every board's first row: what fires, and since when."""

from collections.abc import Mapping

from dashboards import foreign
from dashboards.colours import Colour, Step
from dashboards.panels import Panel, stat
from dashboards.queries import age, firing
from dashboards.selectors import like

UP_DOWN: Mapping[float, tuple[str, Colour]] = {1: ("up", "green"), 0: ("DOWN", "red")}


def urgent_alerts() -> Panel:
    """Count the alerts that call somebody at any hour."""
    return stat(
        "Urgent alerts",
        firing(priority=like("P0|P1")),
        "Alerts of priority P0 and P1 that fire now, for the chosen services.",
        colours=(Step(None, "green"), Step(1, "red")),
    )


def last_restart() -> Panel:
    """Show how long ago the youngest process began."""
    return stat(
        "Last restart",
        age(foreign.PROCESS_START, agg="min"),
        "Age of the youngest process. Trouble that began with it points to a release or a crash.",
        # Five minutes after its start a process has warm caches and full windows.
        colours=(Step(None, "orange"), Step(300, "green")),
    )

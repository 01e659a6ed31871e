"""What colours mean: verdicts by thresholds, and the few that a reader knows from elsewhere."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from dashboards import rules

Colour = Literal["green", "yellow", "orange", "red", "dark-red", "blue", "purple", "text", "#808080"]
GREY: Colour = "#808080"

# The field's colours for answers; a reader knows them from elsewhere.
STATUS_CLASSES: Mapping[str, Colour] = {
    "1xx": "purple", "2xx": "green", "3xx": "blue", "4xx": "yellow", "5xx": "red",
}  # fmt: skip
_PRIORITIES: Mapping[str, Colour] = {"P0": "dark-red", "P1": "red", "P2": "orange", "P3": "yellow"}


class Step(NamedTuple):
    """From this value on, this colour; None stands for everything below the first number."""

    value: float | None
    colour: Colour


Colours = tuple[Step, ...]


def rising(warn: float, bad: float) -> Colours:
    """Colour a figure for which high is bad."""
    return (Step(None, "green"), Step(warn, "orange"), Step(bad, "red"))


def falling(bad: float, warn: float) -> Colours:
    """Colour a figure for which low is bad: red below `bad`, orange below `warn`."""
    return (Step(None, "red"), Step(bad, "orange"), Step(warn, "green"))


def alerting(threshold: str) -> Colours:
    """Colour a figure by the thresholds at which its alerts fire; high is bad."""
    steps = [Step(None, "green")]
    # Where two alerts of one priority stand at different values, the lower one begins the colour.
    for priority, at in sorted(rules.tiers(threshold), key=lambda tier: tier[1]):
        if _PRIORITIES[priority] not in [step.colour for step in steps]:
            steps.append(Step(at, _PRIORITIES[priority]))
    return tuple(steps)


def thresholds(colours: Colours) -> dict[str, Any]:
    """Return Grafana's form of the steps; without any, everything has the colour of text: no verdict."""
    steps = colours or (Step(None, "text"),)
    numbers = [step.value for step in steps]
    if numbers[0] is not None or None in numbers[1:]:
        raise ValueError(f"the first of the steps, and only the first, has no number: {numbers}")
    rest = [number for number in numbers[1:] if number is not None]
    if rest != sorted(set(rest)):
        raise ValueError(f"steps must ascend: {numbers}")
    return {"mode": "absolute", "steps": [{"color": step.colour, "value": step.value} for step in steps]}

"""Rate limits, as the headers of every reply tell them."""

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

# What each header of both families tells: of which limit, and limit, remaining or reset.
_OPENAI = "x-ratelimit-{1}-{0}"
_ANTHROPIC = "anthropic-ratelimit-{0}-{1}"
_HEADERS = {
    family.format(name.replace("_", "-"), what): (name, what)
    for name in ("requests", "tokens", "input_tokens", "output_tokens")
    for what in ("limit", "remaining", "reset")
    for family in (_OPENAI, _ANTHROPIC)
}
NAMES = frozenset(_HEADERS)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")


class RateLimit(NamedTuple):
    """One limit of an account; None is what the provider did not tell. `reset` is Unix time."""

    name: str
    limit: float | None
    remaining: float | None
    reset: float | None

    @property
    def used_ratio(self) -> float | None:
        """From 0 to 1."""
        if self.limit is None or self.remaining is None or self.limit <= 0:
            return None
        return min(1.0, max(0.0, 1 - self.remaining / self.limit))


def parse(headers: Mapping[str, str], now: float) -> Iterator[RateLimit]:
    """Yield what OpenAI's and Anthropic's headers tell at the time `now`; their names in lower case."""
    told: dict[str, dict[str, str]] = {}
    for header, text in headers.items():
        found = _HEADERS.get(header)
        if found is not None:
            told.setdefault(found[0], {})[found[1]] = text
    for name, texts in told.items():
        most, left = _number(texts.get("limit")), _number(texts.get("remaining"))
        if most is not None or left is not None:
            yield RateLimit(name, most, left, moment(texts.get("reset"), now))


def moment(text: str | None, now: float) -> float | None:
    """Return the Unix time of a reset: `6m0s`, `20ms`, seconds, or a date and time as of RFC 3339."""
    if not text:
        return None
    text = text.strip()
    duration = _duration(text)
    if duration is not None:
        return now + duration
    seconds = _number(text)
    if seconds is not None:
        return seconds if seconds > 1e9 else now + seconds
    try:
        return datetime.fromisoformat(text).timestamp() if "T" in text else None
    except ValueError:
        return None


@functools.lru_cache(256)  # the same few texts again and again
def _duration(text: str) -> float | None:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e18 else None

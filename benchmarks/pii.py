"""Scrubbing an error report of 17 kB, log lines, 40 kB of hostile text, beside the expressions of the web."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from benchmarks._measure import Quartiles, Ratio, Report, Table, in_turn, times
from exporter.instrument.pii import Scrubber

# As they stand in answers and articles, in the order in which these give them.
NAIVE = (
    ("[email]", r"[a-zA-Z0-9_.+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+"),
    ("[phone]", r"(\+\d{1,3}[\s.-]?)?\(?\d{3}\)?[\s.-]?\d{3}[\s.-]?\d{4}"),
    ("[ssn]", r"\d{3}-?\d{2}-?\d{4}"),
    ("[creditcard]", r"\d{4}[\s-]?\d{4}[\s-]?\d{4}[\s-]?\d{4}"),
    ("[secret]", r"(?i)(?:password|token|secret|api_key)\s*[=:]\s*\S+"),
)
LINE = (
    "2026-11-03T09:14:22.118Z INFO api.access method=GET route=/users/{id} status=200 duration_ms=12.5 "
    "request_id=3f2b6c1e-7d0a-4c55-9e2b-1a2b3c4d5e6f trace_id=4bf92f3577b34da6a3ce929d0e0e4736"
)
# What takes us longest of many tried, and what takes the others longest.
HOSTILE = (
    "A",
    "@",
    "a@",
    "://",
    "://a@",
    "4111 ",
    "password='",
    "Cookie: ",
    "1",
    "eyJaaaaa-",
    "Key (a)=(",
    "+1",
    '{"a":',
)


# Has what rules need before they look further, so that none is skipped.
TAIL = " password = api token a@example.com :// bearer sk- akia -u phone call me ssn pan 1234567"


def naive() -> Callable[[str], str]:
    rules = [(mark, re.compile(pattern)) for mark, pattern in NAIVE]

    def scrub(text: str) -> str:
        for mark, pattern in rules:
            text = pattern.sub(mark, text)
        return text

    return scrub


def event() -> dict[str, Any]:
    """Return an error report of about 17 kB, in Sentry's shape."""
    frames = [
        {
            "filename": f"/app/shop/part{n}.py",
            "function": "handle",
            "lineno": n,
            "module": f"shop.part{n}",
            "context_line": "        raise Declined(card, customer)",
            "pre_context": [
                "    def handle(self, card):",
                "        found = self.find(card)",
                "        if not found:",
            ],
            "post_context": ["", "    def find(self, card):", "        return self.cards.get(card)"],
            "vars": {"self": f"<shop.part{n}.Cards object at 0x7f12ab3c4d5e>", "found": "None", "n": n},
        }
        for n in range(25)
    ]
    crumbs = [
        {
            "category": "query",
            "message": "SELECT * FROM orders WHERE customer = %s",
            "data": {"db.system": "postgresql", "n": n},
            "timestamp": 1793697262.5 + n,
        }
        for n in range(30)
    ]
    return {
        "event_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "level": "error",
        "exception": {
            "values": [
                {
                    "type": "Declined",
                    "value": "card 4111 1111 1111 1111 of anna@example.com",
                    "stacktrace": {"frames": frames},
                }
            ]
        },
        "request": {
            "url": "https://shop.example/pay?email=anna@example.com",
            "headers": {
                "Host": "shop.example",
                "Authorization": "Bearer abc.def",
                "Cookie": "a=b",
                "Accept": "*/*",
            },
            "data": '{"email": "anna@example.com", "phone": "+919876543210", "password": "hunter2"}',
        },
        "breadcrumbs": {"values": crumbs},
        "user": {"id": "17", "email": "anna@example.com"},
    }


def _spent(scrub: Callable[[str], Any], text: str) -> float:
    """Return the least milliseconds of three."""
    least = float("inf")
    for _ in range(3):
        started = time.thread_time_ns()
        scrub(text)
        least = min(least, (time.thread_time_ns() - started) / 1e6)
    return least


def measure(tiny: bool) -> Report:
    scrubber, theirs = Scrubber(), naive()
    told = event()
    written = json.dumps(told)
    taken = in_turn(
        {
            "event, ours": lambda: scrubber.value(told),
            "event as one text, ours": lambda: scrubber.text(written),
            "event as one text, naive": lambda: theirs(written),
            "1,000 log lines, ours": lambda: [scrubber.text(LINE) for _ in range(1000)],
            "1,000 log lines, naive": lambda: [theirs(LINE) for _ in range(1000)],
        },
        3 if tiny else 41,
    )
    cost = {name: Quartiles.of([each / 1e6 for each in every]) for name, every in taken.items()}
    tables = [
        Table(
            f"Milliseconds, for an event of {len(written) / 1000:.0f} kB and for log lines",
            ("what", "median", "quartiles"),
            [(name, found.median, f"{found.low:.2f} to {found.high:.2f}") for name, found in cost.items()],
            "The naive ones know neither names, nor JSON, nor check digits: they miss, and take too much.",
        )
    ]
    rows, growth = [], []
    size = 1_000 if tiny else 40_000
    for unit in HOSTILE:
        half, whole = (unit * (length // len(unit)) + TAIL for length in (size // 2, size))
        ours = _spent(scrubber.text, half), _spent(scrubber.text, whole)
        # A quarter of it: with all of it some of these take seconds.
        other = _spent(theirs, half[: size // 8]), _spent(theirs, half[: size // 4])
        growth.append(times(ours[1], ours[0]))
        rows.append((repr(unit), *ours, growth[-1], *other, times(other[1], other[0])))
    columns = ("repeated", f"ours, {size // 2:,}", f"ours, {size:,}", "times", f"naive, {size // 8:,}")
    tables.append(
        Table(
            "Milliseconds for hostile text, by its length", (*columns, f"naive, {size // 4:,}", "times"), rows
        )
    )
    ratios = [
        Ratio("hostile text: twice the length takes, at worst, times as long", max(growth), most=3),
        Ratio(
            "log lines: ours / naive",
            times(cost["1,000 log lines, ours"].median, cost["1,000 log lines, naive"].median),
            most=2,
        ),
        Ratio(
            "event: ours, all values / naive, one text",
            times(cost["event, ours"].median, cost["event as one text, naive"].median),
            most=2,
        ),
    ]
    return Report(tables, ratios)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("pii", measure)

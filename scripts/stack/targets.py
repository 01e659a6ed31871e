"""What Prometheus says of its targets, and waiting until all of them are up."""

import json
import time
from collections.abc import Set
from typing import Any

from scripts.stack.process import get

SECONDS = 90.0  # 5 s until Prometheus reads its targets, a scrape at 15 s, and a slow machine

Target = tuple[str, str]  # job and address


def read(prometheus: str) -> list[dict[str, Any]]:
    """Every active target as Prometheus describes it; none while it does not answer."""
    answer = get(f"{prometheus}/api/v1/targets?state=active")
    found: list[dict[str, Any]] = json.loads(answer)["data"]["activeTargets"] if answer else []
    return found


def wait(prometheus: str, wanted: Set[Target], seconds: float = SECONDS) -> dict[Target, str]:
    """Return the targets that are not up at the end of the time, each with its last error."""
    deadline = time.monotonic() + seconds
    while True:
        found = {(one["labels"]["job"], one["labels"]["instance"]): one for one in read(prometheus)}
        late = {
            target: found[target]["lastError"] if target in found else "unknown to Prometheus"
            for target in wanted
            if target not in found or found[target]["health"] != "up"
        }
        if not late or time.monotonic() > deadline:
            return late
        time.sleep(0.1)

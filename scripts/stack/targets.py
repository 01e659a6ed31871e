"""What Prometheus says of its targets, and waiting until all of them are up."""

import json
import time
from collections.abc import Callable, Set
from typing import Any

from scripts.stack.process import get

SECONDS = 180.0  # 5 s until Prometheus reads its targets, a scrape at 15 s, and a very busy machine

Target = tuple[str, str]  # job and address


def read(prometheus: str) -> list[dict[str, Any]]:
    """Every active target as Prometheus describes it; none while it does not answer."""
    answer = get(f"{prometheus}/api/v1/targets?state=active")
    found: list[dict[str, Any]] = json.loads(answer)["data"]["activeTargets"] if answer else []
    return found


def wait(
    prometheus: str, wanted: Set[Target], check: Callable[[], None], seconds: float = SECONDS
) -> dict[Target, str]:
    """Return the targets that have not been up within the time, each with its last error.

    Once up is enough: on a busy machine one or the other scrape is always late. `check` raises when waiting
    longer is in vain.
    """
    deadline = time.monotonic() + seconds
    late = dict.fromkeys(wanted, "unknown to Prometheus")
    while True:
        check()
        for one in read(prometheus):
            target = one["labels"]["job"], one["labels"]["instance"]
            if one["health"] == "up":
                late.pop(target, None)
            elif target in late:
                late[target] = one["lastError"] or "not scraped yet"
        if not late or time.monotonic() > deadline:
            return late
        time.sleep(0.1)

"""Results of Anthropic's message batches: usage of each message, counted once however often it is read."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from exporter.instrument.ai._replies import Lines

_MOST = 1_000
# Lines counted by process and batch, so that a second reading of the same results adds nothing.
_counted: dict[tuple[int, str], int] = {}

Tell = Callable[[str, Mapping[str, Any]], None]


class Batch:
    """Reads one JSON object a line and tells the model and usage of each message that there is."""

    def __init__(self, batch: str, tell: Tell) -> None:
        self._key = (os.getpid(), batch)
        self._tell = tell
        self._lines = Lines()
        self._at = 0
        _counted.setdefault(self._key, 0)
        while len(_counted) > _MOST:
            _counted.pop(next(iter(_counted)))

    def feed(self, chunk: bytes) -> None:
        for line in self._lines.feed(chunk):
            self._line(line)

    def end(self) -> None:
        for line in self._lines.end():
            self._line(line)

    def _line(self, line: bytes) -> None:
        self._at += 1
        if self._at <= _counted.get(self._key, 0):
            return
        _counted[self._key] = self._at
        if b'"usage"' in line:
            message = (json.loads(line).get("result") or {}).get("message") or {}
            if isinstance(message.get("usage"), dict):
                self._tell(str(message.get("model") or ""), message["usage"])

"""Reading replies while they pass: usage, model, tier and failure, from JSON and from event streams."""

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

# Up to here a reply is simply parsed; beyond, only its usage is: a fifth of the time at 4 KB, and 1.4 MB of
# numbers would take 8 ms.
_SMALL = 4_096
# A usage object, and what follows it in a reply, are shorter than this.
_NEAR = 8_192
# More than this is not kept; the longest replies are images and embeddings in the tens of megabytes.
MOST_BYTES = 32_000_000

_decoder = json.JSONDecoder()
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_TIER = re.compile(rb'"service_tier"\s*:\s*"([^"\\]{1,40})"')
_FAILED = re.compile(rb'"status"\s*:\s*"failed"')
_TYPE = re.compile(rb'\{\s*"type"\s*:\s*"([a-z_.]{1,60})"')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = re.compile(rb'"error"\s*:\s*["{]|^\{\s*"type"\s*:\s*"error"')
# The last event of a stream; after it nothing is told any more.
_LAST = {b"message_stop", b"response.completed", b"response.incomplete", b"response.failed"}
_LAST |= {b"transcript.text.done", b"speech.audio.done"}

# Most events of a stream with types are one of these, and tell nothing.
_DELTAS = (
    b"event: content_block_delta\n",
    b"event: response.output_text.delta\n",
    b"event: response.function_call_arguments.delta\n",
)
_TYPED_MARKS = (b"message_stop", b"response.completed", b"response.incomplete", b"response.failed", b'.done"')


class TooLongError(Exception):
    """More bytes than we keep."""


class Facts:
    """What a reply has told so far."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] | None = None
        self.model = ""
        self.tier = ""
        self.error: Mapping[str, Any] | None = None
        self.complete = False  # the last word has been said

    def take(self, reply: Mapping[str, Any]) -> None:
        """Learn from one object of a reply; what it tells anew replaces what was told before."""
        for part in (reply, reply.get("response"), reply.get("message")):
            if not isinstance(part, dict):
                continue
            usage = part.get("usage")
            if isinstance(usage, dict):
                told = {key: value for key, value in usage.items() if value is not None}
                self.usage = {**(self.usage or {}), **told}
                self.tier = _text(usage.get("service_tier")) or self.tier
            self.model = _text(part.get("model")) or self.model
            self.tier = _text(part.get("service_tier")) or self.tier
            error = part.get("error")
            if isinstance(error, dict):
                self.error = error
            elif isinstance(error, str):
                self.error = {"message": error}
            elif part.get("status") == "failed":
                self.error = {}


class Reader(Protocol):
    """Takes the decoded bytes of one reply, and their end."""

    def feed(self, chunk: bytes) -> None: ...
    def end(self) -> None: ...


class Nothing:
    """For replies that tell nothing that we could read, such as sound."""

    def feed(self, chunk: bytes) -> None: ...
    def end(self) -> None: ...


NOTHING = Nothing()


class Body:
    """A reply in JSON, read when it is whole."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MOST_BYTES:
            self._parts.clear()
            raise TooLongError
        self._parts.append(chunk)

    def end(self) -> None:
        read_body(b"".join(self._parts), self._facts)
        self._parts.clear()


def read_body(body: bytes, facts: Facts) -> None:
    """Learn from a reply in JSON. Raises ValueError where it is none."""
    if len(body) > _SMALL:
        usage = _usage_of(body)
        if usage is not None:
            ends = body[:1024], body[-_NEAR:]
            facts.take({"usage": usage, "status": "failed" if _FAILED.search(ends[0]) else ""})
            facts.model = facts.model or _search(_MODEL, *ends)
            facts.tier = facts.tier or _search(_TIER, *reversed(ends))
            return
        if b'"usage"' not in body and b'"error"' not in body[:1024]:
            facts.model = _search(_MODEL, body[:1024], body[-_NEAR:])
            return
    if body:
        reply = json.loads(body)
        if isinstance(reply, dict):
            facts.take(reply)


def _usage_of(body: bytes) -> dict[str, Any] | None:
    """Return the usage object of the outermost level, where it stands near the end as it does."""
    at = len(body)
    for _ in range(8):
        at = body.rfind(b'"usage"', max(0, len(body) - _NEAR), at)
        if at < 0:
            return None
        # One character a byte, so that positions agree; what is not ASCII is of no interest here.
        text = body[at:].decode("latin-1")
        try:
            value, end = _decoder.raw_decode(text, text.index("{", 7))
            # What follows closes an object exactly when the usage belongs to the outermost one.
            json.loads('{"":0' + text[end:])
        except ValueError:
            continue
        if isinstance(value, dict) and not text[7 : text.index("{", 7)].strip(" \t\r\n:"):
            return value
    return None


class Lines:
    """Puts lines together from chunks, however they were cut."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []  # of a line that is not whole yet
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that are whole now. Raises TooLongError for one that does not end."""
        if b"\n" not in chunk:
            if b"\r" not in chunk:
                self._size += len(chunk)
                if self._size > MOST_BYTES:
                    self.parts.clear()
                    raise TooLongError
                self.parts.append(chunk)
                return []
            chunk = chunk.replace(b"\r", b"\n")
        if self.parts:
            chunk = b"".join([*self.parts, chunk])
        *lines, rest = chunk.split(b"\n")
        self.parts, self._size = [rest] if rest else [], len(rest)
        return lines

    def end(self) -> list[bytes]:
        return [b"".join(self.parts)] if self.parts else []


class Events:
    """A stream of server-sent events, read as it passes; only the few that tell something are parsed."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lines = Lines()
        self._typed = False  # events say first of what type they are; all of a stream do, or none

    def feed(self, chunk: bytes) -> None:
        if self._facts.model and not self._lines.parts and chunk.endswith(b"\n") and not self._tells(chunk):
            return
        for line in self._lines.feed(chunk):
            if line.startswith(b"data:"):
                self._data(line[5:].strip())

    def end(self) -> None:
        for line in self._lines.end():
            if line.startswith(b"data:"):
                self._data(line[5:].strip())

    def _tells(self, events: bytes) -> bool:
        """Whether there may be something to learn: a few plain looks instead of taking lines apart."""
        if self._typed:
            if events.startswith(_DELTAS) and events.count(b"data:") == 1:
                return False
            if any([mark in events for mark in _TYPED_MARKS]):  # noqa: C419 - a generator takes twice as long
                return True
        # `"usage":null` stands in every event of some streams.
        return (
            b"[DONE]" in events
            or b'"error"' in events
            or (b'"usage"' in events and _USAGE.search(events) is not None)
        )

    def _data(self, data: bytes) -> None:
        facts = self._facts
        if data == b"[DONE]":
            facts.complete = True
            return
        kind = _TYPE.match(data)
        last = kind is not None and kind[1] in _LAST
        self._typed = self._typed or kind is not None
        # In these replies, quotes inside of texts are escaped, so none of this is found in what a model says.
        # A plain look first: it is many times as fast as a pattern, and most events have neither word.
        if (
            last
            or (b'"usage"' in data and _USAGE.search(data))
            or (b'"error"' in data and _ERROR.search(data))
        ):
            event = json.loads(data)
            if isinstance(event, dict):
                facts.take(event)
                if event.get("type") == "error" and facts.error is None:  # its words stand beside the type
                    facts.error = {"code": event.get("code"), "message": event.get("message")}
                last = last or str(event.get("type")).encode() in _LAST
        elif not facts.model:
            facts.model = _search(_MODEL, data[:4096])
        facts.complete = facts.complete or last


def _search(pattern: re.Pattern[bytes], *places: bytes) -> str:
    for place in places:
        if found := pattern.search(place):
            return found[1].decode("utf-8", "replace")
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

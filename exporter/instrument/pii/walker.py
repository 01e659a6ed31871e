"""Copies of nested values, scrubbed, with bounds on depth and number, whatever objects are in them."""

import functools
import json
from collections import deque
from collections.abc import Callable, Mapping, Set
from datetime import date, time, timedelta
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from exporter.instrument.pii import checks

REDACTED = "[redacted]"
CYCLE, DEEP, CUT, UNREADABLE = "[cycle]", "[deep]", "[cut]", "[unreadable]"
_PLAIN = (float, bool, type(None), complex, date, time, timedelta, UUID)
_DEEPEST = 32
_MOST = 10_000  # values in one walk; an event of Sentry has some hundreds
# Under these names, as their letters alone, a text is read as what it is.
_READ_AS = {
    "url": "url uri httpurl urlfull requesturl referer referrer httpreferer location",
    "query": "querystring urlquery httpquery",
    "sql": "sql statement dbstatement dbquerytext dbquery",
}
_READERS = {name: reader for reader, names in _READ_AS.items() for name in names.split()}


class Texts(Protocol):
    """What the walker asks for every text and name."""

    longest: int

    def name(self, name: str) -> str: ...
    def text(self, text: str) -> str: ...
    def url(self, address: str) -> str: ...
    def query(self, pairs: str) -> str: ...
    def sql(self, statement: str) -> str: ...
    def sensitive(self, name: str) -> bool: ...


class Walk:
    """One walk through one value; `hidden(kind)` is called for what goes because of where it stands."""

    def __init__(self, texts: Texts, hidden: Callable[[str], None]) -> None:
        self._texts = texts
        self._hidden = hidden
        self._left = _MOST
        self._above: set[int] = set()

    def value(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            return self._number(value)
        if self._left < 0:
            return CUT
        if kind is str:
            return self._string(value, depth)
        if depth > _DEEPEST:
            return DEEP
        if id(value) in self._above:
            return CYCLE
        self._above.add(id(value))
        try:
            if kind is dict:
                return self._mapping(value, depth + 1)
            if kind is list:
                return self._row(value, depth + 1)
            return self._inside(value, depth + 1)
        except RecursionError:
            return DEEP
        except Exception:  # whatever somebody's object does, nothing of it comes out here
            return UNREADABLE
        finally:
            self._above.discard(id(value))

    def _inside(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.value(value.value, depth)
        if isinstance(value, str):
            return self._string(str.__str__(value), depth)
        if isinstance(value, int | float):
            return self.value(int(value) if isinstance(value, int) else float(value), depth)
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, bytes | bytearray | memoryview):
            text = self._string(bytes(value).decode(errors="surrogateescape"), depth)
            return text.encode(errors="surrogateescape")
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            named = self._mapping(dict(zip(value._fields, value, strict=True)), depth)
            return type(value)(*named.values())
        if isinstance(value, list | deque):
            return self._row(list(value), depth)
        if isinstance(value, tuple):
            return tuple(self._row(list(value), depth))
        if isinstance(value, Set):
            row = self._row(list(value), depth)
            return frozenset(row) if isinstance(value, frozenset) else set(row)
        return self._string(str(value), depth)

    def _mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        copy: dict[Any, Any] = {}
        items = list(mapping.items())
        about = next((item for key, item in items if key in ("name", "key") and isinstance(item, str)), "")
        for key, item in items:
            if self._left < 0:
                copy[CUT] = CUT
                break
            name = _name(key)
            new = self._key(key, copy)
            hidden = self._texts.sensitive(name) or (new is not key and self._texts.sensitive(_name(new)))
            if hidden or (key == "value" and about and self._texts.sensitive(about)):
                copy[new] = self._redacted(item)
            elif type(item) is str and (reader := _reader(name)):
                copy[new] = getattr(self._texts, reader)(item)
            else:
                copy[new] = self.value(item, depth)
        return copy

    def _key(self, key: Any, copy: dict[Any, Any]) -> Any:
        if type(key) is str and (scrubbed := self._texts.name(key)) == key:
            return key
        if key is None or isinstance(key, bool | float):
            return key
        if isinstance(key, int):
            return self._number(int(key))
        scrubbed = self._texts.name(_name(key))
        unique: Any = _like(key, scrubbed)
        count = 1
        while unique in copy:  # two addresses were keys
            count += 1
            unique = _like(key, f"{scrubbed} {count}")
        return unique

    def _row(self, row: list[Any], depth: int) -> list[Any]:
        if _pairs(row[:_MOST]):
            row = [self._pair(item) for item in row[:_MOST]]
        copy: list[Any] = []
        for item in row:
            if self._left < 0:
                copy.append(CUT)
                break
            copy.append(self.value(item, depth))
        return copy

    def _pair(self, pair: Any) -> Any:
        name = _name(pair[0])
        if not (self._texts.sensitive(name) or self._texts.sensitive(self._texts.name(name))):
            return pair
        return type(pair)((pair[0], self._redacted(pair[1])))

    def _redacted(self, item: Any) -> Any:
        if item is None or isinstance(item, bool) or (isinstance(item, str | bytes) and not item):
            return item
        if isinstance(item, str) and item == REDACTED:
            return item
        self._hidden("key")
        return REDACTED

    def _number(self, number: int) -> Any:
        """A card may be a number in JSON; shorter numbers are left alone, they are mostly counts."""
        if 10**13 <= number < 10**16 and checks.card(str(number)):
            self._hidden("creditcard")
            return "[creditcard]"
        return number

    def _string(self, text: str, depth: int) -> str:
        ends = text.strip()[:1] + text.strip()[-1:] if text[:1] in _JSON_BEGINS else ""
        if ends in ("{}", "[]", '""') and depth <= _DEEPEST and len(text) <= self._texts.longest:
            try:
                return self._json(text, depth)
            except (ValueError, RecursionError):
                pass
        return self._texts.text(text)

    def _json(self, text: str, depth: int) -> str:
        twice = False

        def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal twice
            made = dict(found)
            twice = twice or len(made) < len(found)
            return made

        parsed = json.loads(text, object_pairs_hook=pairs)
        scrubbed = self.value(parsed, depth + 1)
        if scrubbed == parsed and not twice:
            return text
        compact = '": ' not in text and ", " not in text
        return json.dumps(scrubbed, ensure_ascii=False, separators=(",", ":") if compact else None)


_JSON_BEGINS = frozenset('{[" \n\r\t')


def _pairs(row: list[Any]) -> bool:
    """Say whether these are names and values, as headers and forms are handed on."""
    return bool(row) and all(
        type(item) in (list, tuple) and len(item) == 2 and isinstance(item[0], str | bytes) for item in row
    )


def _name(key: Any) -> str:
    if type(key) is str:
        return key
    if isinstance(key, bytes):
        return key.decode(errors="surrogateescape")
    return str.__str__(key) if isinstance(key, str) else str(key)


def _like(key: Any, name: str) -> str | bytes:
    return name.encode(errors="surrogateescape") if isinstance(key, bytes) else name


@functools.lru_cache(4096)
def _reader(name: str) -> str:
    """Return the method that reads a text under this name, if it is not `text`."""
    return _READERS.get("".join(filter(str.isalpha, name.lower()))[:32], "")

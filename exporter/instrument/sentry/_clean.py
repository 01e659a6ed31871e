"""Takes private data out of texts, addresses, SQL and nested values, by one scrubber."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from exporter.instrument.sentry import _words

REDACTED = "[redacted]"
_DEEPEST = 40
_LONGEST = 100_000  # characters, which is also the SDK's limit
# What SQLAlchemy and Postgres write into messages: parameters, and the rows that broke a rule.
_PARAMETERS, _STATEMENT, _DETAIL = "[parameters: ", "[SQL: ", "DETAIL:"
_SMALL_NUMBER = 10**6  # no card, phone or document number is below


class Scrubber(Protocol):
    """What is asked of the engine: `exporter.instrument.pii.Scrubber`."""

    def text(self, text: str, /) -> str: ...
    def value(self, value: Any, /) -> Any: ...
    def url(self, url: str, /) -> str: ...
    def query(self, pairs: str, /) -> str: ...
    def sql(self, sql: str, /) -> str: ...


class Cleaner:
    """Cleans what Sentry's items are made of. Whatever it raises keeps the item inside the process."""

    def __init__(self, scrubber: Scrubber, *, personal: bool) -> None:
        self.personal = personal
        self._scrubber = scrubber
        self.is_sensitive = lru_cache(maxsize=1000)(self._is_sensitive)
        # Names of fields and lines of source are the same in every event.
        self.known = lru_cache(maxsize=5000)(self.text)

    def text(self, text: str) -> str:
        """Return a text without finds."""
        return self._scrubber.text(text[:_LONGEST])

    def message(self, text: str) -> str:
        """Return a message without finds; what databases quote in it goes altogether."""
        start = text.find(_STATEMENT)
        if start >= 0:
            end = text.find(_PARAMETERS, start)
            end = len(text) if end < 0 else end
            text = text[:start] + _STATEMENT + self.sql(text[start + len(_STATEMENT) : end]) + text[end:]
        start = text.find(_PARAMETERS)
        if start >= 0:
            text = f"{text[:start]}{_PARAMETERS}{REDACTED}]"
        start = text.find(_DETAIL)
        if start >= 0:
            rest = text[start:].partition("\n")[2]
            text = f"{text[:start]}{_DETAIL} {REDACTED}" + (f"\n{rest}" if rest else "")
        # In this order: half of a number is none that would be found.
        return _words.QUERY.sub(f"?{REDACTED}", str(self._scrubber.value(text)))  # value() reads JSON too

    def sql(self, text: str) -> str:
        """Return SQL without literals."""
        return self._scrubber.sql(text[:_LONGEST])

    def url(self, text: str) -> str:
        """Return an address without user, query and fragment; with a scrubbed query in personal-data mode."""
        text = text[:_LONGEST]
        if not self.personal:
            text = text.partition("?")[0].partition("#")[0]
        head, mark, rest = text.partition("://")
        if mark and "@" in rest.partition("/")[0]:
            server, slash, path = rest.partition("/")
            text = head + mark + server.rpartition("@")[2] + slash + path
        return self._scrubber.url(text)

    def routed(self, address: str, name: str) -> str:
        """Return the address of a request to us, its path being the template."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
        return self.text(origin) + (name if name.startswith("/") else "/" + name)

    def fields(self, given: Mapping[str, Any], *, keep: frozenset[str] = frozenset(), deep: int = 0) -> Any:
        """Return a dict with cleaned keys and values. Values of `keep` stay if they look like ids."""
        if deep > _DEEPEST:
            return REDACTED
        cleaned: dict[str, Any] = {}
        for key, value in given.items():
            name = str(key)
            if name in keep and _words.is_id(value):
                cleaned[name] = value
            elif _words.is_left_out(name, personal=self.personal):
                continue
            else:
                cleaned[self._unused(self.known(name), cleaned)] = self.field(name, value, deep)
        return cleaned

    def field(self, name: str, value: Any, deep: int = 0) -> Any:
        """Return a value that stands under a name."""
        if value is None or isinstance(value, bool):
            return value
        if self.is_sensitive(name):
            return REDACTED
        if isinstance(value, str):
            if name in _words.ADDRESSES:
                return self.url(value)
            if name in _words.QUERIES:
                return self._scrubber.query(value[:_LONGEST])
            if name in _words.SQL:
                return self.sql(value)
        return self.value(value, deep)

    def value(self, value: Any, deep: int = 0) -> Any:
        """Return any value as JSON has it, cleaned. Raises TypeError for what JSON does not have."""
        if isinstance(value, str):
            return self.message(value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            text = str(value)
            return value if abs(value) < _SMALL_NUMBER or self.text(text) == text else self.text(text)
        if isinstance(value, Mapping):
            return self.fields(value, deep=deep + 1)
        if isinstance(value, list | tuple):
            return REDACTED if deep > _DEEPEST else [self.value(each, deep + 1) for each in value]
        raise TypeError(f"{type(value).__name__} cannot be cleaned")

    @staticmethod
    def _unused(name: str, taken: Mapping[str, Any]) -> str:
        """Return another name where two addresses were keys, and have become the same."""
        return name if name not in taken else f"{name} {len(taken) + 1}"

    def _is_sensitive(self, name: str) -> bool:
        probe = self._scrubber.value({name: "x"})
        return "x" not in probe.values()

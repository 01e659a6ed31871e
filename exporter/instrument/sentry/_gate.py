"""The last gate: what of an envelope may leave the process. What cannot be cleaned stays inside."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from exporter.instrument.sentry import _attributes, _events
from exporter.instrument.sentry._clean import Cleaner, Scrubber
from exporter.instrument.sentry._words import IDS

# A closed list: a kind that is not on it, such as an attachment, does not leave.
_PLAIN = frozenset(
    {
        "session",
        "sessions",
        "check_in",
        "client_report",
        "profile",
        "profile_chunk",
        "feedback",
        "user_report",
    }
)
_EVENTS = frozenset({"event", "transaction"})
_BATCHES = frozenset({"span", "log", "trace_metric"})
_HEADERS = frozenset({"type", "content_type", "item_count", "platform"})
KINDS = _PLAIN | _EVENTS | _BATCHES | {"attachment"}
# Of a session: who it was. The SDK's names.
_PEOPLE = frozenset({"did", "ip_address", "user_agent"})


class Gate:
    """Cleans items and headers of envelopes. `withheld` is called with the kind of each item that stays."""

    def __init__(
        self, scrubber: Scrubber, withheld: Callable[[str], None], *, personal: bool, variables: bool
    ) -> None:
        self._clean = Cleaner(scrubber, personal=personal)
        self._withheld = withheld
        self._variables = variables

    def items(self, given: list[Any]) -> list[Any]:
        """Return new items for those that may leave."""
        passed = [self._item(each) for each in given]
        return [each for each in passed if each is not None]

    def headers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return an envelope's headers."""
        try:
            # The sampling context may come from a stranger's `baggage` header.
            cleaned: dict[str, Any] = self._clean.fields(
                {name: value for name, value in given.items() if name != "trace"}, keep=IDS
            )
            if isinstance(given.get("trace"), Mapping):
                trace = self._clean.fields(given["trace"], keep=IDS)
                if "://" in str(trace.get("transaction", "")):
                    trace["transaction"] = _attributes.UNMATCHED
                cleaned["trace"] = trace
        except Exception:
            return {}
        return cleaned

    def _item(self, item: Any) -> Any:
        kind = str(item.headers.get("type"))
        try:
            payload = item.payload.json
            if payload is None:
                payload = None if kind == "attachment" else json.loads(item.get_bytes())
            cleaned = self._payload(kind, payload)
            if cleaned is None:
                self._withheld(kind)
                return None
            body = json.dumps(cleaned, allow_nan=False, separators=(",", ":")).encode()
            headers = {name: value for name, value in item.headers.items() if name in _HEADERS}
            if kind in _BATCHES:
                headers["item_count"] = len(cleaned["items"])
                if not cleaned["items"]:
                    return None
            return type(item)(payload=type(item.payload)(bytes=body, json=cleaned), headers=headers)
        except Exception:
            self._withheld(kind)
            return None

    def _payload(self, kind: str, payload: Any) -> Any:
        if kind in _EVENTS:
            return _events.event(self._clean, payload, variables=self._variables)
        if kind in _BATCHES:
            return _attributes.batch(self._clean, payload)
        if kind in _PLAIN:
            return self._clean.fields(_unpersonal(payload), keep=IDS)
        return None


def _unpersonal(payload: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in payload.items() if name not in _PEOPLE}
    attrs = plain.get("attrs")
    if isinstance(attrs, Mapping):
        plain["attrs"] = {name: value for name, value in attrs.items() if name not in _PEOPLE}
    return plain

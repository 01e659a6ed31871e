"""How envelopes leave: through the gate, in the SDK's own background thread."""

import re
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

from exporter.instrument.sentry._deliveries import Deliveries
from exporter.instrument.sentry._gate import Gate
from exporter.store import Store

_WORD = re.compile(r"[a-z0-9_]{1,60}")


def transport_type(gate: Gate, deliveries: Deliveries, store: Store) -> type[Any]:
    """Return the class for `sentry_sdk.init(transport=...)`.

    It holds on to the public `capture_envelope` alone: whatever an SDK does with an envelope later, it has
    a sealed one, whose contents cannot be had but cleaned.
    """
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import HttpTransport

    class Sealed(Envelope):
        """An envelope that is cleaned when somebody looks into it: the thread that sends it."""

        def __init__(self, envelope: Envelope) -> None:
            self._raw: Envelope | None = envelope
            self._headers: dict[str, Any] = {}
            self._items: list[Any] = []

        def _open(self) -> None:
            raw, self._raw = self._raw, None
            if raw is not None:
                self._headers, self._items = gate.headers(raw.headers), gate.items(raw.items)

        @property
        def headers(self) -> dict[str, Any]:  # type: ignore[override]
            self._open()
            return self._headers

        @property
        def items(self) -> list[Any]:  # type: ignore[override]
            self._open()
            return self._items

    class ScrubTransport(HttpTransport):
        """Sends cleaned envelopes, and says what became of them."""

        def __init__(self, options: dict[str, Any]) -> None:
            super().__init__(options)
            self._sending: Any = None
            store.at_fork(self._forked)

        def capture_envelope(self, envelope: Envelope) -> None:
            super().capture_envelope(envelope if isinstance(envelope, Sealed) else Sealed(envelope))

        def record_lost_event(
            self, reason: str, data_category: Any = None, item: Any = None, *, quantity: int = 1
        ) -> None:
            # The reason ends in a report that is added behind the gate.
            word = reason if _WORD.fullmatch(reason) else "other"
            super().record_lost_event(word, data_category, item, quantity=quantity)

        def on_dropped_event(self, reason: str) -> None:
            # A full queue is found by the thread that reports, not by the one that sends.
            deliveries.lost(reason, None if reason == "full_queue" else self._sending)

        def _send_envelope(self, envelope: Envelope) -> None:
            self._sending = envelope
            try:
                # In an empty context: with the one of the request that happened to start this thread, the SDK
                # traces its own delivery, delivers that, and so on, where Sentry has a port of its own.
                Context().run(super()._send_envelope, envelope)
            finally:
                self._sending = None

        def _handle_response(self, response: Any, envelope: Envelope | None) -> None:
            super()._handle_response(response, envelope)
            if 200 <= response.status < 300:
                deliveries.sent(envelope)

        def rate_limited_until(self) -> float:
            """Return the Unix time until which Sentry wants to be left alone, 0 for now."""
            until = max(getattr(self, "_disabled_until", {}).values(), default=None)
            return until.timestamp() if until is not None and until > datetime.now(UTC) else 0.0

        def _forked(self) -> None:
            """Leave queue and connections to the parent: they hold its envelopes, locks and answers."""
            self._worker = self._create_worker(self.options)
            self._pool = self._make_pool()
            self._discarded_events.clear()
            self._sending = None

    return ScrubTransport


def ensure(client: Any, transport: type[Any]) -> bool:
    """Make the client send through the gate and nothing else; return whether something had to go.

    With SENTRY_PRINT_ENVELOPES, the SDK prints envelopes before they come to the gate: that goes. Raises
    RuntimeError for what is not known.
    """
    if type(client.transport) is transport:
        return False
    inner = getattr(client.transport, "_inner", None)
    if type(inner) is not transport:
        raise RuntimeError("the SDK does not send through the scrubbing transport; nothing is reported")
    client.transport = inner
    return True

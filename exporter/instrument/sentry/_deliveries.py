"""What became of envelopes: counted, and told to those who wait for one."""

import threading
import time
from typing import Any

from exporter.instrument._guard import guarded
from exporter.instrument.sentry._gate import KINDS
from exporter.instrument.sentry._metrics import ENVELOPES, LAST_DELIVERY, OUTCOMES, WITHHELD
from exporter.store import OTHER, Store

_BY_REASON = {
    "network": "unreachable",
    "full_queue": "queue_full",
    "status_429": "rate_limited",
    "self_rate_limits": "rate_limited",
}


class Deliveries:
    """The fate of this process's envelopes. Every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forget()
        with guarded(store, "sentry"):
            for outcome in OUTCOMES:  # so that the first loss is seen as an increase
                ENVELOPES.on(store).labels(outcome).inc(0)
        store.at_fork(self._forget)

    def _forget(self) -> None:
        """Begin anew: in a forked child, what was sent is the parent's."""
        self.last_delivery = 0.0  # Unix time
        self.last_loss = ""  # its outcome; "" after a delivery
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.withheld_items = 0
        self._waiting: dict[str, _Waiting] = {}

    def sent(self, envelope: Any) -> None:
        """Take note that Sentry has accepted an envelope."""
        with guarded(self._store, "sentry"):
            self.last_delivery, self.last_loss = time.time(), ""
            self._count("sent")
            LAST_DELIVERY.on(self._store).set(self.last_delivery)
            self._tell(envelope, "sent")

    def lost(self, reason: str, envelope: Any = None) -> None:
        """Take note that an envelope, or a part of one, was lost. `reason` is the SDK's word."""
        with guarded(self._store, "sentry"):
            self.last_loss = _BY_REASON.get(reason, "refused")
            self._count(self.last_loss)
            self._tell(envelope, self.last_loss)

    def withheld(self, kind: str) -> None:
        """Take note that an item stays inside."""
        with guarded(self._store, "sentry"):
            self.withheld_items += 1
            WITHHELD.on(self._store).labels(kind if kind in KINDS else OTHER).inc()

    def expect(self, event_id: str) -> "_Waiting":
        """Return what can be waited for, before the event is captured."""
        waiting = self._waiting[event_id] = _Waiting()
        return waiting

    def forget(self, event_id: str) -> None:
        """Wait no longer."""
        self._waiting.pop(event_id, None)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        ENVELOPES.on(self._store).labels(outcome).inc()

    def _tell(self, envelope: Any, outcome: str) -> None:
        if self._waiting and envelope is not None:
            waiting = self._waiting.get(str(envelope.headers.get("event_id")))
            if waiting is not None:
                waiting.outcome = outcome
                waiting.done.set()


class _Waiting:
    """One event that somebody waits for."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.outcome = ""

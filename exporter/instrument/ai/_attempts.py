"""A call under way, and the single requests that it is made of."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from exporter.instrument.ai import _call_log, _errors
from exporter.instrument.ai._batches import Batch
from exporter.instrument.ai._calls import FEATURE, Call
from exporter.instrument.ai._hosts import Route
from exporter.instrument.ai._ledger import Ledger
from exporter.instrument.ai._replies import NOTHING, Body, Events, Facts, Reader, TooLongError
from exporter.instrument.ai._usage import tokens_of
from exporter.instrument.ai._wire import headers_of, model_asked_for, unpacker
from exporter.store import OTHER

# The SDK's call that the code stands in; the requests made there are its attempts.
CURRENT: ContextVar["Running | None"] = ContextVar("watchkeeper_ai_call", default=None)
# Replies that nobody read to the end. The garbage collector may tell us so at any moment, in the midst of
# our own recording too, so that is only noted there, and counted with the next call or scrape.
LEFT: "deque[Attempt]" = deque()


def settle() -> None:
    """Count the replies that were left."""
    while LEFT:
        try:
            attempt = LEFT.popleft()
        except IndexError:  # another thread was quicker
            return
        attempt.settle()


class Running:
    """A call under way, from its first request on. `options` are those of the SDK whose call it is."""

    def __init__(self, options: Any = None, *, of_sdk: bool = False) -> None:
        self.begun = time.perf_counter()
        self.started = time.time()
        self.attempts = 0
        self.last: Attempt | None = None
        self.first_chunk: float | None = None
        self.model = ""
        self.ledgers: tuple[Ledger, ...] = ()
        self._options = options
        self._of_sdk = of_sdk
        self._handed_over = False
        self._over = False
        self._feature = FEATURE.get()
        self._context = _call_log.context()
        self._pid = os.getpid()

    def attempt(self, route: Route, request: Any, ledgers: tuple[Ledger, ...]) -> "Attempt":
        """Begin another request of this call."""
        if self.last is None:
            self.ledgers = ledgers
            try:
                self.model = model_asked_for(self._options, request) or route.model
            except Exception:
                for ledger in ledgers:
                    ledger.failed("request")
            self._options = None  # prompts are not kept longer than the SDK keeps them
            for ledger in ledgers:
                ledger.began(route.provider)
        self.attempts += 1
        self.last = Attempt(self, route)
        return self.last

    def returned(self) -> None:
        """The SDK gave the application its answer; a stream goes on until its own end."""
        self._handed_over = True
        if self.last is not None and self.last.done:
            self._finish(self.last)

    def raised(self, error: BaseException) -> None:
        """The SDK raised: there will be no further attempt."""
        if self.last is None:  # nothing was sent
            return
        if not isinstance(error, Exception):
            self.last.outcome = "cancelled"
        elif self.last.outcome == "success":  # the SDK did not understand the answer
            self.last.outcome = "error"
        self.last.ended_at = time.perf_counter()
        self._finish(self.last)

    def attempt_done(self, attempt: "Attempt") -> None:
        """One attempt is over; it was the last, unless an SDK tries again."""
        if attempt is self.last and (self._handed_over or not self._of_sdk):
            self._finish(attempt)

    def call(self, last: "Attempt") -> Call:
        """Return this call as it is known after its last attempt."""
        route, facts = last.route, last.facts
        batch = route.operation.startswith("batch")
        ended = last.ended_at or time.perf_counter()
        return Call(
            provider=route.provider,
            model=self.model or facts.model,
            answered_model=facts.model or self.model,
            operation=route.operation,
            outcome=last.outcome,
            category=last.category,
            status=last.status,
            attempts=self.attempts,
            started=self.started,
            duration=ended - self.begun,
            first_chunk=None if self.first_chunk is None else self.first_chunk - self.begun,
            tokens=tokens_of(facts.usage, anthropic=route.anthropic),
            usage=facts.usage,
            partial=last.streaming and not facts.complete and last.outcome != "success",
            service_tier=facts.tier,
            batch=batch,
            free=batch,  # its messages cost, each by itself, when their results are read
            request_id=last.request_id,
            streaming=last.streaming,
            feature=self._feature,
        )

    def _finish(self, last: "Attempt") -> None:
        if self._over or self._pid != os.getpid():  # in a forked child, it is the parent's call
            return
        self._over = True
        self.last = None  # no circle: what a call held goes with it, not with the next collection
        for ledger in self.ledgers:
            try:
                ledger.ended(last.route.provider)
                call = self.call(last)
                if ledger.logs_calls:  # one line a call, however many observers there are
                    call.context, self._context = self._context, None
                ledger.finished(call)
            except Exception:
                ledger.failed("finish")


class Attempt:
    """One request of a call, and what its reply tells while it passes."""

    def __init__(self, running: Running, route: Route) -> None:
        self.route = route
        self.facts = Facts()
        self.inside = 0  # how many of our own loops are reading the reply just now
        self.done = False
        self.outcome = "success"
        self.category = OTHER
        self.status: int | None = None
        self.streaming = False
        self.request_id = ""
        self.ended_at: float | None = None
        self._running = running
        self._reader: Reader = NOTHING
        self._unpack: Callable[[bytes], bytes] | None = None
        self._left = False

    def answered(self, response: Any) -> None:
        """The head of the reply is there."""
        headers = headers_of(response)
        self.status = int(response.status_code)
        if self.status >= 300:
            self.outcome, self.category = "error", _errors.of_status(self.status)
        for ledger in self._running.ledgers:
            ledger.attempted(self.route.provider, str(self.status))
            ledger.limits(self.route.provider, self._running.model, headers)
        get = headers.get
        self.request_id = get("x-request-id") or get("request-id") or get("apim-request-id") or ""
        self._unpack = unpacker(get("content-encoding", ""))
        kind = get("content-type", "").partition(";")[0].strip().lower()
        self.streaming = kind == "text/event-stream"
        if self.streaming:
            self._reader = Events(self.facts)
        elif self.route.batch and self.status == 200:
            self._reader = Batch(self.route.batch, self._message_of_batch)
        elif kind.endswith("json"):
            self._reader = Body(self.facts)

    def feed(self, chunk: bytes) -> None:
        """Take decoded bytes of the reply."""
        if self.done or not chunk:
            return
        try:
            if self.streaming and self._running.first_chunk is None:
                self._running.first_chunk = time.perf_counter()
            self._reader.feed(chunk)
            if self.facts.complete or self.facts.error is not None:
                self.ended()
        except TooLongError:
            self.failed("too_long")
        except Exception:
            self.failed("reply")

    def feed_raw(self, chunk: bytes) -> None:
        """Take bytes as they came over the wire."""
        try:
            if self._unpack is not None:
                self.feed(self._unpack(chunk))
        except Exception:
            self._unpack = None
            self.failed("reply")

    def ended(self) -> None:
        """The reply is whole."""
        if self.done:
            return
        self.ended_at = time.perf_counter()
        try:
            self._reader.end()
        except Exception:
            self.failed("reply")
        self._finish()

    def raised(self, error: BaseException) -> None:
        """The request failed, or its reply broke off."""
        if self.done:
            return
        self.ended_at = time.perf_counter()
        answering = self.status is not None
        category = _errors.of_exception(error, answering=answering)
        if category == "cancelled":
            self.outcome = "cancelled"
        else:
            self.outcome, self.category = "error", category
        if not answering:
            for ledger in self._running.ledgers:
                ledger.attempted(self.route.provider, category)
        self._finish()

    def left(self) -> None:
        """The reply was closed or dropped before its end. Called where nothing may be counted."""
        if not self.done and not self._left:
            self._left = True
            self.ended_at = time.perf_counter()
            LEFT.append(self)

    def settle(self) -> None:
        """Count a reply that was left: what it told is true, and the application gave it up."""
        if not self.done:
            if self.outcome == "success":
                self.outcome = "cancelled"
            self._finish()

    def failed(self, stage: str) -> None:
        """Count the exception that is being handled, and listen no longer."""
        self._reader = NOTHING
        for ledger in self._running.ledgers:
            ledger.failed(stage)

    def _finish(self) -> None:
        self.done = True
        try:
            if self.facts.error is not None and self.outcome != "cancelled":
                refused = self.outcome == "error"
                self.outcome = "error"
                words = _errors.of_words(self.facts.error)
                self.category = words or (self.category if refused else "provider_error")
            self._reader = NOTHING
            self._running.attempt_done(self)
        except Exception:
            self.failed("finish")

    def _message_of_batch(self, model: str, usage: Mapping[str, Any]) -> None:
        call = self._running.call(self)
        call.model = call.answered_model = model
        call.usage, call.tokens = usage, tokens_of(usage, anthropic=True)
        call.outcome, call.free, call.only_usage = "success", False, True
        for ledger in self._running.ledgers:
            ledger.finished(call)

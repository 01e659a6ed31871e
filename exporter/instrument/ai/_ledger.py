"""Where what is known of AI calls becomes numbers: one ledger for each store."""

import functools
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping

from exporter.catalog import Child, Sample
from exporter.instrument._guard import failed, guarded
from exporter.instrument.ai import _call_log, _limits
from exporter.instrument.ai._book import Book
from exporter.instrument.ai._calls import NO_FEATURE, NO_MODEL, Call
from exporter.instrument.ai._metrics import (
    ATTEMPTS,
    BUDGET,
    CATEGORIES,
    FAILURES,
    FEEDBACK,
    IN_PROGRESS,
    LIMIT,
    OUTCOMES,
    REMAINING,
    RESET,
    RESULTS,
    TOKEN_TYPES,
    UNPRICED,
    USED,
)
from exporter.instrument.ai._names import Names
from exporter.instrument.ai._prices import Prices
from exporter.store import OTHER, Store

# More names than an application has models; the rest is "other", so that no name from outside makes series.
MOST_MODELS = 100

# What a team can tell apart on a dashboard.
_MOST_FEATURES = 50
_MOST_TASKS = 50
# Each has a series for every category of errors from its first call on.
_MOST_WITH_ZEROS = 20
# Rate limits are read at scrapes; of what replies tell, no more is taken in than workers publish.
_LIMITS_SECONDS = 0.5
_MOST_BOOKS = 500  # kept; with made-up operations there could be any number

_log = logging.getLogger("watchkeeper")


class Ledger:
    """Counts the calls of one application; `prices` says what they cost."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.prices = Prices()
        self.features = Names(_MOST_FEATURES, NO_FEATURE)
        self.logs_calls = True
        self.budget: dict[str, float] = {}  # US dollars by period
        self.before_scrape: Callable[[], None] | None = None  # what is still to be told
        self._models: set[str] = set()
        self._tasks = Names(_MOST_TASKS)
        self._books: dict[tuple[str, str, str], Book] = {}
        self._under_way: dict[str, Child] = {}
        self._attempts: dict[tuple[str, str], Child] = {}
        self._limits_told: dict[tuple[str, str], Mapping[str, str]] = {}  # and not set yet
        self._limits_at = -math.inf
        self._with_zeros: set[tuple[str, str]] = set()
        self._told_of_results = False
        store.at_scrape(self._read)
        store.at_fork(self.prices.after_fork)

    @classmethod
    def of(cls, store: Store) -> "Ledger":
        """Return the ledger of a store, always the same: several applications may share one."""
        return store.share("ai", lambda: cls(store))

    def began(self, provider: str) -> None:
        """Count a call as under way, until `ended`."""
        child = self._under_way.get(provider)
        if child is None:
            child = self._under_way[provider] = IN_PROGRESS.on(self.store).labels(provider)
        child.inc()

    def ended(self, provider: str) -> None:
        """A call is not under way any more."""
        self._under_way[provider].dec()

    def attempted(self, provider: str, status: str) -> None:
        """Count a single request by its status, or what came instead of one."""
        child = self._attempts.get((provider, status))
        if child is None:
            child = self._attempts[provider, status] = ATTEMPTS.on(self.store).labels(provider, status)
        child.inc()

    def limits(self, provider: str, model: str, headers: Mapping[str, str]) -> None:
        """Keep what a reply's headers tell of rate limits: at once, or of many replies the latest."""
        now = time.monotonic()
        if now - self._limits_at < _LIMITS_SECONDS:
            self._limits_told[provider, model] = headers
            return
        self._limits_at = now
        self._limits_told.pop((provider, model), None)
        self._set_limits(provider, model, headers)

    def _set_limits(self, provider: str, model: str, headers: Mapping[str, str]) -> None:
        for each in _limits.parse(headers, time.time()):
            labels = (provider, self._model(model), each.name)
            for metric, value in (
                (LIMIT, each.limit),
                (REMAINING, each.remaining),
                (USED, each.used_ratio),
                (RESET, each.reset),
            ):
                if value is not None:
                    metric.on(self.store).labels(*labels).set(value)

    def finished(self, call: Call) -> None:
        """Count a call that is over, whichever way it became known."""
        try:
            self._count(call)
        except Exception:
            failed(self.store, "ai")

    def feedback(self, task: str, result: str, model: str) -> None:
        """Count what turned out of an answer."""
        with guarded(self.store, "ai"):
            series = FEEDBACK.on(self.store)
            labels = self._tasks.of(task), self._model(model)
            if result not in RESULTS:
                FAILURES.on(self.store).labels("feedback").inc()
                if not self._told_of_results:
                    self._told_of_results = True
                    _log.warning("feedback is one of %s, not %.50r", ", ".join(RESULTS), result)
                return
            for each in RESULTS:  # all four, because what is computed from them needs all
                series.labels(*labels, each).inc(0)
            series.labels(*labels, result).inc()

    def failed(self, stage: str) -> None:
        """Count the exception that is being handled: ours, which the application never sees."""
        try:
            _log.debug("observing an AI call failed (%s)", stage, exc_info=True)
            FAILURES.on(self.store).labels(stage).inc()
        except Exception:
            _log.debug("nor could that be counted", exc_info=True)

    def _count(self, call: Call) -> None:
        model = self._model(call.model, keep=call.category != "not_found" or call.outcome != "error")
        book = self._book(call.provider, model, call.operation)
        if not call.only_usage:
            self._count_outcome(call, book)
        for kind, count in (call.tokens or {}).items():
            if kind in TOKEN_TYPES and count >= 0:
                book.tokens[kind].inc(count)
            else:
                FAILURES.on(self.store).labels("tokens").inc()
        if call.cost_usd is not None or not call.tokens:
            self._priced(call, model, book, call.cost_usd)
            return
        try:
            self.prices.ask(call, functools.partial(self._priced, call, model, book))
        except Exception:
            self.failed("price")
            self._priced(call, model, book, None)

    def _count_outcome(self, call: Call, book: Book) -> None:
        if call.outcome not in OUTCOMES:
            FAILURES.on(self.store).labels("outcome").inc()
        book.outcome(call.outcome).inc()
        if call.duration is not None:
            if 0 <= call.duration < math.inf:
                book.duration[""].observe(call.duration)
            else:
                FAILURES.on(self.store).labels("duration").inc()
        if call.first_chunk is not None and call.first_chunk >= 0:
            book.first_chunk[""].observe(call.first_chunk)
        if call.outcome == "error":
            book.errors[call.category if call.category in CATEGORIES else OTHER].inc()

    def _book(self, provider: str, model: str, operation: str) -> Book:
        book = self._books.get((provider, model, operation))
        if book is None:
            zeros = (provider, model) in self._with_zeros or len(self._with_zeros) < _MOST_WITH_ZEROS
            book = Book(self.store, provider, model, operation, zeros=zeros)
            if zeros:
                self._with_zeros.add((provider, model))
            if len(self._books) < _MOST_BOOKS:
                self._books[provider, model, operation] = book
        return book

    def _priced(self, call: Call, model: str, book: Book, cost: float | None) -> None:
        """Count a call's cost, known or not; in the thread of the prices, where it had to be looked up."""
        try:
            feature = self.features.of(call.feature)
            if cost is not None and not 0 <= cost < math.inf:
                FAILURES.on(self.store).labels("cost").inc()
                cost = None
            if cost is not None:
                book.costs[feature].inc(cost)
            self._count_unpriced(call, model, cost)
            _call_log.tell(call, cost, feature)
        except Exception:
            failed(self.store, "ai")

    def _count_unpriced(self, call: Call, model: str, cost: float | None) -> None:
        # What was refused costs nothing; what was answered does, also where nobody waited for the end.
        answered = call.outcome == "success" or (call.status is not None and 200 <= call.status < 300)
        if not answered or call.free:
            return
        if call.partial or not call.tokens:
            reason = "partial_usage" if call.tokens else "no_usage"
        elif cost is None:
            reason = "no_price"
        else:
            return
        UNPRICED.on(self.store).labels(call.provider, model, reason).inc()

    def _model(self, name: str, *, keep: bool = True) -> str:
        if not name:
            return NO_MODEL
        if name in self._models:
            return name
        # A name that the provider does not know is a slip or a visitor's invention.
        if not keep or len(self._models) >= MOST_MODELS or len(name) > 200:
            return OTHER
        self._models.add(name)
        return name

    def _read(self) -> Iterable[Sample]:
        if self.before_scrape is not None:
            self.before_scrape()
        while self._limits_told:
            try:
                (provider, model), headers = self._limits_told.popitem()
            except KeyError:  # another thread was quicker
                break
            self._set_limits(provider, model, headers)
        return [BUDGET.sample(dollars, period=period) for period, dollars in self.budget.items()]

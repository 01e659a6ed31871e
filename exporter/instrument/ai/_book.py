"""The series of one kind of call, looked up once: a call adds to a dozen of them."""

import functools
from collections.abc import Callable

from exporter.catalog import Child
from exporter.instrument.ai._metrics import (
    CALLS,
    CATEGORIES,
    COST,
    DURATION,
    ERRORS,
    FIRST_CHUNK,
    OUTCOMES,
    TOKENS,
)
from exporter.store import OTHER, Store


class Book:
    """What is counted under one provider, model and operation; labels are bounded by who asks for a book.

    Outcomes are there from the start, and with `zeros` the categories of errors as well, so that the first
    error is seen as an increase.
    """

    def __init__(self, store: Store, provider: str, model: str, operation: str, *, zeros: bool) -> None:
        calls = CALLS.on(store)
        self.calls = {name: calls.labels(provider, model, operation, name) for name in OUTCOMES}
        self.duration = _Kept(lambda _: DURATION.on(store).labels(provider, model, operation))
        self._other = functools.partial(calls.labels, provider, model, operation, OTHER)
        errors, tokens, cost = ERRORS.on(store), TOKENS.on(store), COST.on(store)
        self.errors = _Kept(lambda category: errors.labels(provider, model, category))
        self.tokens = _Kept(lambda kind: tokens.labels(provider, model, kind))
        self.costs = _Kept(lambda feature: cost.labels(provider, model, feature))
        self.first_chunk = _Kept(lambda _: FIRST_CHUNK.on(store).labels(provider, model))
        for category in CATEGORIES if zeros else ():
            self.errors[category]

    def outcome(self, name: str) -> Child:
        """Return the counter of calls; `other` for an outcome that is none."""
        return self.calls.get(name) or self._other()


class _Kept(dict[str, Child]):
    """Series by their last label, made when they are needed."""

    def __init__(self, make: Callable[[str], Child]) -> None:
        self._make = make

    def __missing__(self, label: str) -> Child:
        child = self[label] = self._make(label)
        return child

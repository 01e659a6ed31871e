"""The request under way, as far as Sentry's hooks need it: its path and its route template."""

from collections.abc import Callable
from contextvars import ContextVar


class Around:
    """One request. `find` asks the router for the template."""

    __slots__ = ("find", "path")

    def __init__(self, path: str, find: Callable[[], str]) -> None:
        self.path = path
        self.find = find


AROUND: ContextVar[Around | None] = ContextVar("watchkeeper_sentry_request", default=None)

"""The four classes of lines. They decide how long a line is kept and whether it may ever be given up."""

from collections.abc import Mapping
from typing import Literal, get_args

LogClass = Literal["production", "debug", "audit", "security"]

CLASSES: tuple[str, ...] = get_args(LogClass)
# Never sampled, never dropped, on disk before the call returns.
KEPT = frozenset({"audit", "security"})
_DEBUG = 10  # logging.DEBUG


class Classes:
    """Says which class a line is of: what the line itself says, else its logger, else its level.

    `by_logger` gives classes to loggers and all below them: `{"shop.audit": "audit"}`. Raises ValueError
    for a class that does not exist.
    """

    def __init__(self, by_logger: Mapping[str, str]) -> None:
        for logger, name in by_logger.items():
            if name not in CLASSES:
                raise ValueError(f"logger {logger!r} has the class {name!r}; there are {', '.join(CLASSES)}")
        self._by_logger = dict(by_logger)
        self._known: dict[str, str] = {}

    def of(self, level: int, logger: str, asked: object = None) -> str:
        """Return the class of a line at this level (a number of the logging module) by this logger."""
        if asked in CLASSES:
            return str(asked)
        if self._by_logger:
            name = self._of_logger(logger)
            if name:
                return name
        return "debug" if level <= _DEBUG else "production"

    def _of_logger(self, logger: str) -> str:
        known = self._known.get(logger)
        if known is None:
            stem, known = logger, ""
            while stem and not known:
                known = self._by_logger.get(stem, "")
                stem = stem.rpartition(".")[0]
            if len(self._known) < 1000:  # names of loggers may come from outside
                self._known[logger] = known
        return known

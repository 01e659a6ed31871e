"""Makes everything that logs through the standard library write through our handler."""

import logging
import sys
from collections.abc import Callable

# Servers print these themselves; they shall come to the root logger like all others.
SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn.error", "hypercorn.error", "_granian")
# One line a request, which ours replaces.
ACCESS = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")


def take_over(handler: logging.Handler, level: int, access: bool) -> Callable[[], None]:
    """Put the handler in the place of those that print to the console; return what undoes it.

    Handlers that write elsewhere stay. May be called again, after a server has set up its logging anew.
    """
    undo: list[Callable[[], None]] = []
    root = logging.getLogger()
    undo.append(_restorer(root))
    _quieten(root)
    if handler not in root.handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name in SERVERS + ACCESS:
        logger = logging.getLogger(name)
        undo.append(_restorer(logger))
        _quieten(logger)
        # Without a handler and on its own, a logger of access lines is not even asked for them.
        logger.propagate = not (access and name in ACCESS)

    def restore() -> None:
        for step in reversed(undo):
            step()

    return restore


def _quieten(logger: logging.Logger) -> None:
    # The list is replaced rather than emptied: uvicorn's loggers may share it with gunicorn's.
    logger.handlers = [each for each in logger.handlers if not _prints(each)]


def _prints(handler: logging.Handler) -> bool:
    """Whether this writes to the console, and not to a file, a service or a test."""
    if type(handler) is not logging.StreamHandler:
        return False
    return handler.stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


def _restorer(logger: logging.Logger) -> Callable[[], None]:
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate

    def restore() -> None:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate

    return restore

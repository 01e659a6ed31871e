"""What a log line costs the one who logs, and the whole process, beside structlog, loguru and formatters."""

import io
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks._measure import Quartiles, Ratio, Report, Table, in_a_process, times
from exporter.instrument._context import CURRENT, Context
from exporter.instrument.logs.handler import Handler
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.pipeline import Pipeline
from exporter.store import Store

TRACE, USER = "4bf92f3577b34da6a3ce929d0e0e4736", "user_456"
EXTRA = {"order": 4711, "plan": "pro"}
# Each peer writes time, level, logger, message, trace, user and two more fields.
BOUND = {"trace_id": TRACE, "user_id": USER}

Log = Callable[[], Any]
Flush = Callable[[], Any]


def _nothing() -> None:
    pass


def _logger(name: str, handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(f"bench.{name}")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    return logger


def _stdlib(name: str, formatter: logging.Formatter, file: Any) -> tuple[Log, Flush]:
    handler = logging.StreamHandler(file)
    handler.setFormatter(formatter)
    logger = _logger(name, handler)
    extra = {**EXTRA, **BOUND}
    return lambda: logger.info("order %d executed", 4711, extra=extra), _nothing


def text(file: Any) -> tuple[Log, Flush]:
    form = "%(asctime)s %(levelname)s %(name)s %(message)s %(trace_id)s %(user_id)s %(order)s %(plan)s"
    return _stdlib("text", logging.Formatter(form), file)


def json_logger(file: Any) -> tuple[Log, Flush]:
    from pythonjsonlogger.json import JsonFormatter

    return _stdlib("pjl", JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"), file)


def ecs_logging(file: Any) -> tuple[Log, Flush]:
    import ecs_logging as ecs

    return _stdlib("ecs", ecs.StdlibFormatter(), file)


def structlog(file: Any) -> tuple[Log, Flush]:
    import structlog as slog

    processors = [
        slog.contextvars.merge_contextvars,
        slog.processors.add_log_level,
        slog.processors.TimeStamper(fmt="iso", utc=True),
        slog.processors.JSONRenderer(),
    ]
    logger = slog.wrap_logger(
        slog.WriteLogger(file),
        processors=processors,
        wrapper_class=slog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    ).bind(logger="bench")
    slog.contextvars.bind_contextvars(**BOUND)
    return lambda: logger.info("order 4711 executed", **EXTRA), _nothing


def loguru(file: Any) -> tuple[Log, Flush]:
    from loguru import logger

    logger.remove()
    logger.add(file, serialize=True, level="INFO")
    bound = logger.bind(**EXTRA, **BOUND)
    return lambda: bound.info("order {} executed", 4711), _nothing


class _File:
    """The same /dev/null for ours, which writes bytes."""

    def __init__(self, file: Any) -> None:
        self._descriptor = file.fileno()

    def write(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def after_fork(self) -> None:
        """Nothing: this forks not."""


def _ours(file: Any, *, scrub: bool, name: str) -> tuple[Log, Flush]:
    from prometheus_client.registry import CollectorRegistry

    options = LogOptions(service="bench", scrub=scrub, queue=1_000_000)
    pipeline = Pipeline(Store.of(CollectorRegistry()), options, _File(file))
    context = Context(TRACE)
    context.user_id = USER
    CURRENT.set(context)
    logger = _logger(name, Handler(pipeline))
    return lambda: logger.info("order %d executed", 4711, extra=EXTRA), pipeline.writer.flush


def ours(file: Any) -> tuple[Log, Flush]:
    return _ours(file, scrub=False, name="ours")


def ours_scrubbed(file: Any) -> tuple[Log, Flush]:
    return _ours(file, scrub=True, name="scrubbed")


CANDIDATES = {
    "standard library, text": text,
    "structlog": structlog,
    "python-json-logger": json_logger,
    "loguru": loguru,
    "ecs-logging": ecs_logging,
    "ours": ours,
    "ours, scrubbed": ours_scrubbed,
}
PEERS = ("structlog", "python-json-logger", "loguru", "ecs-logging")


def run(rounds: int, lines: int) -> dict[str, dict[str, list[float]]]:
    """Return microseconds a line, of the thread that logs and of the whole process; in a fresh process."""
    found: dict[str, dict[str, list[float]]] = {}
    with open(os.devnull, "w", encoding="utf-8") as file:  # noqa: PTH123 - a device
        made = {}
        for name, make in CANDIDATES.items():
            with suppress(ImportError):
                made[name] = make(file)
                found[name] = {"thread": [], "process": []}
        for number in range(-1, rounds):
            names = list(made)
            at = number % len(names)
            for name in names[at:] + names[:at]:  # in turn: a noisy moment hits a round, not a candidate
                log, flush = made[name]
                whole, thread = time.process_time_ns(), time.thread_time_ns()
                for _ in range(lines):
                    log()
                spent = time.thread_time_ns() - thread
                flush()
                if number >= 0:
                    found[name]["thread"].append(spent / lines / 1000)
                    found[name]["process"].append((time.process_time_ns() - whole) / lines / 1000)
    return found


def sizes() -> dict[str, int]:
    """Return the bytes of the line that each candidate writes, to see that they say the same."""
    found = {}
    for name, make in CANDIDATES.items():
        if "ours" in name:
            continue
        file = io.StringIO()
        with suppress(ImportError):
            log, _ = make(file)
            log()
            found[name] = len(file.getvalue())
            if name != "standard library, text":
                json.loads(file.getvalue())
    return found


def measure(tiny: bool) -> Report:
    taken = in_a_process("benchmarks.log_lines:run", 2 if tiny else 40, 20 if tiny else 1_000)
    written = in_a_process("benchmarks.log_lines:sizes")
    rows: list[tuple[Any, ...]] = []
    for name, it in taken.items():
        whole = Quartiles.of(it["process"])
        rows.append(
            (
                name,
                Quartiles.of(it["thread"]).median,
                whole.median,
                f"{whole.low:.1f} to {whole.high:.1f}",
                written.get(name, "-"),
            )
        )
    heads = ("candidate", "µs of the thread that logs", "µs of the process", "quartiles", "bytes")
    note = (
        "CPU time of one line with time, level, logger, message, trace, user and two fields, to /dev/null. "
        "Ours writes in a thread of its own, so both columns count; the others write where they are called."
    )
    table = Table("One log line", heads, rows, note)
    by_name = {row[0]: row for row in rows}
    rivals = [by_name[name][2] for name in PEERS if name in by_name]
    ratios = []
    if rivals:
        ratios.append(
            Ratio("whole process: ours / fastest JSON peer", times(by_name["ours"][2], min(rivals)), most=2)
        )
        ratios.append(
            Ratio(
                "thread that logs: ours / fastest JSON peer", times(by_name["ours"][1], min(rivals)), most=2
            )
        )
    else:  # nobody to compare with: the peers are in benchmarks/requirements.txt
        text_cost = by_name["standard library, text"][2]
        ratios.append(Ratio("whole process: ours / text", times(by_name["ours"][2], text_cost), most=2))
    return Report([table], ratios, PEERS)


if __name__ == "__main__":
    from benchmarks._measure import main

    main("log_lines", measure)

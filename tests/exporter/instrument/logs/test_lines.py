"""What a line says, in either schema, and that nothing that is logged can break it."""

import logging
import re
import sys

import pytest

from exporter.instrument.logs.formatter import LONGEST_LINE
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.schema import FIELDS


def test_a_line_has_the_documented_fields(logs):
    """Outside a request those of requests are left out."""
    logs.logger.info("sold %s", "tea", extra={"price": 3})
    line = logs.line
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert re.fullmatch(r"[0-9a-f]{28}", line.pop("event_id"))
    assert line == {
        "level": "INFO",
        "service": "shop",
        "logger": "shop.cart",
        "log_class": "production",
        "message": "sold tea",
        "extra": {"price": 3},
    }


def test_a_line_of_work_has_its_fields_too(logs):
    """`work` is to a job what a request has by itself."""
    with logs.log.work("nightly", user_id=7, plan="pro"):
        logs.logger.warning("late")
        told = logs.log.trace_headers()
    line = logs.line
    assert told == {"traceparent": f"00-{line['trace_id']}-{line['span_id']}-01"}
    assert (line["user_id"], line["endpoint"], line["extra"]) == ("7", "nightly", {"plan": "pro"})
    assert logs.log.trace_id == ""


def test_what_is_bound_as_none_is_taken_away(logs):
    """Both the user and further fields."""
    with logs.log.work(user_id=7, plan="pro"):
        logs.log.bind(user_id=None, plan=None)
        logs.logger.info("out")
    assert logs.line.keys().isdisjoint({"user_id", "extra"})


@pytest.mark.parametrize("schema", ["flat", "ecs"])
def test_every_field_is_in_the_schema(make, schema):
    """And under the name that the table of fields gives it."""
    logs = make(schema=schema)
    with logs.log.work("job", user_id=1):
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            logs.logger.exception("failed", extra={"a": 1})
    named = {field.ecs if schema == "ecs" else field.name for field in FIELDS}
    assert logs.line.keys() - named == ({"ecs.version"} if schema == "ecs" else set())


def test_ecs_counts_nanoseconds(make):
    """As the schema wants them; our own duration is in milliseconds."""
    from exporter.instrument._context import Context
    from exporter.instrument.logs.line import Line

    for schema, name, took in (("flat", "duration_ms", 12.5), ("ecs", "event.duration", 12_500_000)):
        logs = make(schema=schema)
        line = Line(0.0, "INFO", 20, "x", "GET / 200", "production")
        line.endpoint, line.method, line.duration_ms, line.status_code = "/", "GET", 12.5, 200
        logs.pipeline.access(line, Context())
        assert logs.line[name] == took


def test_an_exception_is_structured_and_has_no_variables(logs):
    """Type, message and stack trace; secrets in local variables stay where they are."""
    password = "hunter2" * 2  # noqa: F841 - must not be seen
    try:
        raise LookupError("gone")
    except LookupError:
        logs.logger.exception("failed")
    error = logs.line["exception"]
    assert (error["type"], error["message"]) == ("LookupError", "gone")
    assert error["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert "hunter2hunter2" not in error["stack_trace"]


class Hostile:
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


LOOP = {}
LOOP["again"] = LOOP


@pytest.mark.parametrize(
    "value",
    [Hostile(),
     LOOP, float("nan"), 10**400, "\ud800", "\x00\u2028", b"\xff", {1, 2}, object(), [[[[[[[[[1]]]]]]]]],
     {"x": Hostile()}, {None: 1}, "x" * 10**6, list(range(10**5))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_is_added_becomes_a_line_of_good_json(logs, value):
    """Strange objects, cycles, half characters, sizes without measure: one line, and the call returns."""
    logs.logger.info("odd", extra={"value": value})
    assert logs.line["message"] == "odd"
    assert len(logs.sink.data) <= LONGEST_LINE
    assert b"NaN" not in logs.sink.data


def test_arguments_that_do_not_fit_leave_a_line(logs):
    """The standard library would print a traceback instead; so does a message that cannot be shown."""
    logs.logger.info("%d items", "many")
    assert logs.line["message"].startswith("%d items")
    assert logs.value("watchkeeper_instrumentation_errors_total", part="logs") == 1


def test_a_message_that_cannot_be_shown_reaches_nobody(logs):
    """It is counted as a failure of ours, and the application goes on."""
    logs.logger.info(Hostile())
    assert logs.lines == []
    assert logs.value("watchkeeper_instrumentation_errors_total", part="logs") == 1


@pytest.mark.parametrize("text", ["x", "é", "\x00", "😀", '"', "\ud800"])
@pytest.mark.parametrize("schema", ["flat", "ecs"])
def test_no_line_is_longer_than_the_cap(make, schema, text):
    """The start of the message and the end of the stack trace are kept, and the line says that it was cut."""
    logs = make(schema=schema)
    try:
        raise ValueError(text * 50_000)
    except ValueError:
        logs.logger.exception(text * 100_000, extra={"more": [text * 9_000] * 50, "user_id": text * 9_000})
    assert len(logs.sink.data) <= LONGEST_LINE
    assert logs.line["extra"]["truncated"] is True
    assert logs.line["message"]


def test_a_line_feed_does_not_break_a_line(logs):
    """Nobody can write a line of his own by logging one."""
    logs.logger.info('a\n{"level": "INFO", "message": "forged"}')
    assert len(logs.lines) == 1


def test_classes_come_from_the_line_its_logger_or_its_level(make):
    """In this order; an unknown class is none."""
    logs = make(classes={"shop": "audit", "shop.cart": "security"})
    logs.logger.info("by logger")
    logs.logger.info("by line", extra={"log_class": "debug"})
    logs.logger.info("unknown", extra={"log_class": "secret"})
    plain = make()
    plain.logger.debug("by level")
    plain.log.audit("said", what="x")
    plain.log.security("said")
    assert [line["log_class"] for line in logs.lines] == ["security", "debug", "security"] or sorted(
        line["log_class"] for line in logs.lines
    ) == ["debug", "security", "security"]
    assert sorted(line["log_class"] for line in plain.lines) == ["audit", "debug", "security"]


def test_private_data_is_scrubbed_before_it_is_written(make):
    """Message, exception, added fields and the user alike."""
    logs = make(scrub=lambda value: "[gone]" if isinstance(value, str) else dict.fromkeys(value, "[gone]"))
    try:
        raise ValueError("a@b.example")
    except ValueError:
        logs.logger.exception("a@b.example", extra={"to": "a@b.example", "user_id": "a@b.example"})
    assert b"a@b.example" not in logs.sink.data
    assert logs.line["message"] == logs.line["user_id"] == "[gone]"


def test_what_cannot_be_scrubbed_is_withheld(make):
    """A scrubber that fails lets nothing pass; the line is there all the same."""

    def broken(value):
        raise RuntimeError("broken")

    logs = make(scrub=broken)
    logs.logger.info("a@b.example", extra={"to": "a@b.example"})
    assert "withheld" in logs.line["message"]
    assert b"a@b.example" not in logs.sink.data
    assert logs.value("watchkeeper_instrumentation_errors_total", part="logs") == 2


def test_the_built_in_scrubber_is_used_by_default(make):
    """E-mail addresses and the like never reach the output."""
    pii = pytest.importorskip("exporter.instrument.pii")
    if not hasattr(pii, "Scrubber"):
        pytest.skip("no scrubber yet")
    logs = make(scrub=True)
    logs.logger.info("sent to ann@example.org", extra={"card": "4111 1111 1111 1111", "password": "hunter2"})
    for secret in (b"ann@example.org", b"4111 1111", b"hunter2"):
        assert secret not in logs.sink.data
    assert "[email]" in logs.line["message"]


def test_sampling_keeps_requests_whole_and_all_that_matters(make):
    """Of a request all lines or none; warnings, audit and security always; numbers by what was kept."""
    logs = make(sample={"production": 0.25, "debug": 0})
    for number in range(200):
        with logs.log.work("job"):
            logs.logger.info("one", extra={"number": number})
            logs.logger.info("two", extra={"number": number})
            logs.logger.debug("never")
    kept = [line["trace_id"] for line in logs.lines]
    assert 20 < len(set(kept)) < 90
    assert all(kept.count(trace) == 2 for trace in kept)
    before = len(kept)
    logs.logger.warning("always")
    logs.log.audit("always")
    logs.log.security("always")
    assert len(logs.lines) == before + 3
    assert logs.value("log_records_total", level="INFO", log_class="production") == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "LOUD"}, "unknown level 'LOUD'"),
        ({"schema": "xml"}, "unknown schema 'xml'"),
        ({"queue": 0}, "room for one"),
        ({"sample": {"audit": 0.5}}, "cannot be sampled"),
        ({"sample": {"debug": 2}}, "from 0 to 1"),
    ],
)
def test_options_that_cannot_be_are_refused_at_the_start(options, said):
    """With the value and what would do."""
    with pytest.raises(ValueError, match=said):
        LogOptions(**options)


def test_the_environment_says_what_the_options_do_not(monkeypatch):
    """By the names that others use as well; what the code says goes first."""
    for name, value in {
        "LOG_LEVEL": "debug",
        "LOG_SCHEMA": "ecs",
        "LOG_FILE": "/x",
        "SERVICE_NAME": "s",
    }.items():
        monkeypatch.setenv(name, value)
    assert LogOptions() == LogOptions(level="DEBUG", schema="ecs", file="/x", service="s")
    assert LogOptions(level="ERROR").level == "ERROR"


def test_nothing_is_imported_while_logs_are_off():
    """An application without logs does not pay for them."""
    import subprocess

    code = (
        "import sys; from starlette.applications import Starlette; from exporter import instrument; "
        "instrument(Starlette()); print([n for n in sys.modules if n.startswith('exporter.instrument.logs')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_taking_over_leaves_other_handlers_and_can_be_undone(tmp_path):
    """What prints is replaced, what writes elsewhere stays, and all is as before afterwards."""
    from exporter.instrument.logs.takeover import take_over

    access, root = logging.getLogger("uvicorn.access"), logging.getLogger()
    before, level = list(root.handlers), root.level
    printing = logging.StreamHandler(sys.stderr)
    printing.stream = sys.stderr
    file = logging.FileHandler(tmp_path / "own.log")
    access.handlers, access.propagate = [printing, file], False
    ours = logging.NullHandler()
    try:
        undo = take_over(ours, logging.INFO, access=True)
        assert ours in root.handlers
        assert access.handlers == [file]
        take_over(ours, logging.INFO, access=True)
        assert root.handlers.count(ours) == 1
        undo()
        assert (root.handlers, root.level) == (before, level)
        assert access.handlers == [printing, file]
    finally:
        access.handlers, access.propagate = [], True
        file.close()
        root.handlers[:] = before
        root.setLevel(level)

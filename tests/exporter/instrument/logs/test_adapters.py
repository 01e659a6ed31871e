"""structlog, loguru, Flask and Django speak through the same lines."""

import pytest

from exporter import instrument


def test_structlog_writes_through_us(logs):
    """Events with their fields, exceptions, classes, bound context, and the request's trace."""
    structlog = pytest.importorskip("structlog")
    before = structlog.get_config()
    try:
        logs.log.use_structlog()
        log = structlog.get_logger().bind(plan="pro")
        with logs.log.work("job", user_id=1):
            log.info("sold", price=3)
            log.debug("too low")
            log.warning("kept", log_class="audit")
            try:
                raise KeyError("x")
            except KeyError:
                log.exception("failed")
    finally:
        structlog.configure(**before)
    lines = {line["message"]: line for line in logs.lines}
    assert lines.keys() == {"sold", "kept", "failed"}
    assert lines["sold"]["extra"] == {"plan": "pro", "price": 3}
    assert lines["kept"]["log_class"] == "audit"
    assert lines["failed"]["exception"]["type"] == "KeyError"
    assert len({line["trace_id"] for line in lines.values()}) == 1
    assert lines["sold"]["user_id"] == "1"


def test_loguru_writes_through_us_without_the_values_of_variables(logs):
    """loguru's own text of an exception shows them; ours does not."""
    loguru = pytest.importorskip("loguru")
    try:
        logs.log.use_loguru()
        with logs.log.work("job"):
            loguru.logger.bind(plan="pro", log_class="security").info("sold {}", "tea")
            password = "hunter2" * 2
            try:
                raise KeyError(len(password))
            except KeyError:
                loguru.logger.exception("failed")
    finally:
        loguru.logger.remove()
    lines = {line["message"]: line for line in logs.lines}
    assert (lines["sold tea"]["log_class"], lines["sold tea"]["extra"]) == ("security", {"plan": "pro"})
    assert lines["failed"]["exception"]["type"] == "KeyError"
    assert b"hunter2hunter2" not in logs.sink.data
    assert lines["failed"]["trace_id"] == lines["sold tea"]["trace_id"]


@pytest.mark.parametrize("kind", ["flask", "django"])
def test_applications_of_the_other_kind_have_the_same_lines(kind, tmp_path):
    """Route templates, status, bound user, trace in and out."""
    import json
    import subprocess
    import sys

    from tests.exporter.instrument.logs.servers import ROOT

    code = WSGI[kind] + ASK
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    access = {line["endpoint"]: line for line in lines if line["logger"] == "watchkeeper.access"}
    assert access.keys() == {"/users/<uid>", "unmatched", "/boom"}
    assert access["/users/<uid>"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert access["/users/<uid>"]["user_id"] == "7"
    assert [access[name]["status_code"] for name in ("/users/<uid>", "unmatched", "/boom")] == [200, 404, 500]
    (inside,) = [line for line in lines if line["message"] == "asked"]
    assert (inside["trace_id"], inside["endpoint"]) == (access["/users/<uid>"]["trace_id"], "/users/<uid>")
    errors = [line for line in lines if "exception" in line]
    assert {line["exception"]["type"] for line in errors} == {"RuntimeError"}
    assert {line["trace_id"] for line in errors} == {access["/boom"]["trace_id"]}


WSGI = {
    "flask": """
import logging
from flask import Flask
from exporter import instrument
app = Flask("shop")
@app.get("/users/<uid>")
def user(uid):
    obs.log.bind(user_id=uid); logging.info("asked"); return "x"
@app.get("/boom")
def boom():
    raise RuntimeError("boom")
obs = instrument(app, logs={"response_header": "traceparent"})
""",
    "django": """
import logging
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
def user(request, uid):
    obs.log.bind(user_id=uid); logging.info("asked"); return HttpResponse("x")
def boom(request):
    raise RuntimeError("boom")
urlpatterns = [path("users/<uid>", user), path("boom", boom)]
from django.core.wsgi import get_wsgi_application
from exporter import instrument
app = get_wsgi_application()
obs = instrument(app, logs={"response_header": "traceparent"})
""",
}
ASK = """
from wsgiref.util import setup_testing_defaults
def ask(path, **headers):
    environ = {"PATH_INFO": path, **headers}
    setup_testing_defaults(environ)
    told = {}
    body = app(environ, lambda status, headers, *_: told.update(headers))
    b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return told
trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
assert ask("/users/7", HTTP_TRACEPARENT=trace)["traceparent"].startswith(trace[:35])
ask("/nope")
ask("/boom")
"""


def test_opentelemetrys_spans_lead(logs):
    """Where the application has spans, lines and exemplars bear their ids."""
    trace = pytest.importorskip("opentelemetry.trace")
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))
    with logs.log.work("job"), trace.use_span(trace.NonRecordingSpan(context)):
        logs.logger.info("inside")
    with trace.use_span(trace.NonRecordingSpan(context)):
        logs.logger.info("without work")
    for line in logs.lines:
        assert (line["trace_id"], line["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


def test_without_logs_the_helpers_do_no_harm(caplog):
    """`obs.log` is there in any case, so code need not ask whether logs are on."""
    obs = instrument(registry=__import__("prometheus_client").CollectorRegistry(), ai=False)
    obs.log.bind(user_id=1)
    with caplog.at_level("INFO"), obs.log.work("job", user_id=1):
        obs.log.audit("done", what="x", name="clash")
    assert [record.message for record in caplog.records] == ["done"]
    assert obs.log.flush()
    with pytest.raises(RuntimeError, match="logs are off"):
        obs.log.use_structlog()

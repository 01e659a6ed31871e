"""Nothing that is planted in an application leaves the process, in any kind of envelope."""

import pytest

from tests.exporter.instrument.sentry import planted
from tests.exporter.instrument.sentry.conftest import FULL, planted_app
from tests.exporter.instrument.sentry.receiver import Receiver

LIFECYCLES = ("static", "stream")
# What comes out of one visit in any case, and what the SDK sends when it has time for it.
KINDS = {
    "check_in",
    "client_report",
    "event",
    "feedback",
    "log",
    "session",
    "sessions",
    "span",
    "trace_metric",
}
SOMETIMES = {"profile", "profile_chunk", "transaction"}


@pytest.fixture(scope="module", params=LIFECYCLES)
def app(request):
    variables = {**FULL, "SENTRY_TRACE_LIFECYCLE": request.param}
    with Receiver() as receiver, planted_app(receiver, **variables) as running:
        yield running


def visit(app):
    """Do what plants everything, and return what the application says of its deliveries."""
    assert app.order().status_code == 500
    assert app.get(f"/api/shop/fine/{planted.email('path')}?e={planted.email('query')}").text == "fine"
    assert app.get(f"/nowhere/{planted.email('path')}").status_code == 404
    app.flush()
    return app.flush()


def wire(receiver):
    return b"\n".join(envelope.text for envelope in receiver.envelopes)


def test_nothing_planted_leaves_in_any_kind_of_envelope_until_the_gate_is_broken(app):
    """What is planted in 25 places is on the wire in no kind of envelope; without the gate, in all."""
    said = visit(app)
    assert planted.found(wire(app.receiver)) == set()
    kinds = {item.kind for item in app.receiver.items()}
    assert KINDS <= kinds <= KINDS | SOMETIMES
    assert said["withheld_items"] >= 3  # the attachments, and a kind that nobody knows

    app.client.post("/bare").raise_for_status()
    visit(app)
    found = planted.found(wire(app.receiver))
    assert {"path", "message", "cause", "sql", "breadcrumb", "tag", "context", "log", "outgoing"} <= found
    assert {"span", "checkin", "metric", "attachment", "session", "user", "card", "ssn", "phone"} <= found
    assert "unheard_of" in {item.kind for item in app.receiver.items()}


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
def test_nothing_planted_leaves_when_all_may_be_collected(lifecycle):
    """Request data and local variables are sent scrubbed: all with a form or a telling name goes."""
    switches = {"SENTRY_SEND_DEFAULT_PII": "true", "SENTRY_INCLUDE_LOCAL_VARIABLES": "true"}
    with (
        Receiver() as receiver,
        planted_app(receiver, **FULL, **switches, SENTRY_TRACE_LIFECYCLE=lifecycle) as app,
    ):
        visit(app)
    left = planted.found(wire(receiver)) - {"something"}
    # A password looks like any other word in a path, and as the name of a user.
    assert left <= {"path", "user"}
    errors = [event["exception"]["values"] for event in receiver.events() if "exception" in event]
    exceptions = [exception for values in errors for exception in values]
    frames = [frame for each in exceptions for frame in each["stacktrace"]["frames"]]
    assert any("[email]" in str(frame.get("vars")) for frame in frames)

"""Each kind of item by itself: what stays of it, and what does not pass."""

import json

import pytest
from sentry_sdk.envelope import Item, PayloadRef

from exporter.instrument.pii import Scrubber
from exporter.instrument.sentry._gate import Gate

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Passed:
    """A gate, and what it has withheld."""

    def __init__(self, **options):
        self.withheld = []
        self.gate = Gate(
            Scrubber(), self.withheld.append, **{"personal": False, "variables": False, **options}
        )

    def __call__(self, kind, payload, **headers):
        """The payload behind the gate, None where it stays."""
        given = payload if isinstance(payload, bytes) else PayloadRef(json=payload)
        items = self.gate.items([Item(given, type=kind, headers=headers)])
        return json.loads(items[0].get_bytes()) if items else None


@pytest.fixture
def passed():
    return Passed()


@pytest.mark.parametrize("kind", ["attachment", "replay_event", "statsd", "None", "otel_log"])
def test_a_kind_that_is_not_known_to_be_clean_stays(passed, kind):
    """Attachments are bytes of any meaning, and of a new kind nobody knows where it holds what."""
    assert passed(kind, {"message": "plain"}) is None
    assert passed.withheld == [kind]


@pytest.mark.parametrize("payload", [b"no json", b"[1]", b'"text"', {"items": "x"}, {"items": [1]}, {}])
def test_a_batch_of_another_form_stays(passed, payload):
    """What does not look as it should cannot be cleaned."""
    assert passed("log", payload) is None
    assert passed.withheld == ["log"]


def test_ids_and_times_stay_as_they_are(passed):
    """They look like card and phone numbers at times, and Sentry needs them."""
    event = {
        "event_id": ID,
        "timestamp": "2026-11-21T15:07:11.202225Z",
        "contexts": {"trace": {"span_id": SPAN}},
    }
    event["contexts"]["trace"] |= {"trace_id": ID, "parent_span_id": "1234567890123456"}
    assert passed("event", event) == event


def test_an_id_that_is_none_is_cleaned(passed):
    """Under the name of an id may stand what an application has put there."""
    event = passed("event", {"event_id": "a.person@leak-planted.example", "timestamp": "+1 415 555 0132"})
    assert event == {"event_id": "[email]", "timestamp": "[phone]"}


def test_attributes_keep_their_types(passed):
    """Numbers stay numbers; a number that was a card is a text then."""
    attributes = {
        "count": {"value": 17, "type": "integer"},
        "share": {"value": 0.5, "type": "double"},
        "on": {"value": True, "type": "boolean"},
        "names": {"value": ["a", "b@leak-planted.example"], "type": "array"},
        "card": {"value": 4242424242424242, "type": "integer"},
    }
    (record,) = passed("log", {"items": [{"body": "x", "attributes": attributes}]})["items"]
    assert record["attributes"] == {
        **attributes,
        "names": {"value": ["a", "[email]"], "type": "array"},
        "card": {"value": "[creditcard]", "type": "string"},
    }


def test_lines_of_servers_do_not_pass(passed):
    """They have raw paths and addresses in them; a batch of nothing else is not sent."""
    lines = [{"body": "GET /x", "attributes": {"logger.name": {"value": "uvicorn.access", "type": "string"}}}]
    assert passed("log", {"items": lines}) is None
    assert passed.withheld == []
    crumbs = [{"category": "uvicorn.access", "message": "GET /x"}, {"category": "shop", "message": "y"}]
    event = passed("event", {"breadcrumbs": {"values": crumbs}})
    assert event["breadcrumbs"]["values"] == crumbs[1:]


def test_a_message_loses_what_databases_quote(passed):
    """Statement, parameters and the row that broke a rule."""
    text = "failed\n[SQL: insert into t values ('hunter2', 7)]\n[parameters: ('hunter2',)]\n(Background: x)"
    rows = "duplicate key\nDETAIL:  Key (name)=(hunter2) already exists.\nHINT: none"
    values = [{"type": "E", "value": text}, {"type": "F", "value": rows}]
    first, second = passed("event", {"exception": {"values": values}})["exception"]["values"]
    assert first["value"] == "failed\n[SQL: insert into t values (?, ?)]\n[parameters: [redacted]]"
    assert second["value"] == "duplicate key\nDETAIL: [redacted]\nHINT: none"


def test_addresses_lose_user_query_and_fragment(passed):
    """In data, in descriptions of spans and within a text."""
    url = "https://me:hunter2@api.example.com/v1/things?token=hunter2#hunter2"
    spans = [
        {"op": "http.client", "description": f"GET {url}", "data": {"url": url, "http.query": "hunter2"}}
    ]
    event = passed("transaction", {"type": "transaction", "spans": spans, "message": f"asked {url} twice"})
    (span,) = event["spans"]
    assert span["description"] == "GET https://api.example.com/v1/things"
    assert span["data"] == {"url": "https://api.example.com/v1/things"}
    assert "hunter2" not in json.dumps(event)
    assert event["message"].endswith(" twice")


def test_a_request_is_told_by_its_template(passed):
    """Path, query, cookies, body, environment and all but four headers are left out."""
    request = {
        "method": "POST",
        "url": "https://shop.example.com/orders/hunter2",
        "query_string": "a=hunter2",
        "cookies": {"a": "hunter2"},
        "data": {"a": "hunter2"},
        "env": {"REMOTE_ADDR": "203.0.113.7"},
        "headers": {"Content-Type": "text/plain", "X-Custom": "hunter2", "User-Agent": "hunter2"},
    }
    event = {"request": request, "transaction": "/orders/{id}", "transaction_info": {"source": "route"}}
    assert passed("event", event)["request"] == {
        "method": "POST",
        "url": "https://shop.example.com/orders/{id}",
        "headers": {"Content-Type": "text/plain"},
    }
    raw = {"request": request, "transaction": "https://shop.example.com/orders/hunter2"}
    assert passed("event", raw)["transaction"] == "unmatched"
    assert passed("event", raw)["request"]["url"] == "https://shop.example.com/unmatched"


def test_local_variables_need_the_switch_and_are_the_applications_own():
    """Libraries hold what they were given: their variables are never sent."""
    frames = [
        {"function": "f", "in_app": True, "vars": {"password": "hunter2", "count": 3}},
        {"function": "g", "in_app": False, "vars": {"count": 4}},
    ]
    event = {"exception": {"values": [{"type": "E", "stacktrace": {"frames": frames}}]}}

    def variables(passed):
        stack = passed("event", event)["exception"]["values"][0]["stacktrace"]
        return [frame.get("vars") for frame in stack["frames"]]

    assert variables(Passed()) == [None, None]
    assert variables(Passed(variables=True)) == [{"password": "[redacted]", "count": 3}, None]


def test_two_addresses_as_keys_stay_two(passed):
    """What becomes the same text is told apart, so that nothing is lost."""
    tallies = {"a@leak-planted.example": 1, "b@leak-planted.example": 2}
    assert sorted(passed("event", {"extra": {"by": tallies}})["extra"]["by"].values()) == [1, 2]


def test_headers_of_an_envelope_are_cleaned_too(passed):
    """A sampling context comes from a stranger's baggage."""
    given = {
        "event_id": ID,
        "trace": {"trace_id": ID, "transaction": "http://x/hunter2", "user": "a@b.example"},
    }
    wanted = {"event_id": ID, "trace": {"trace_id": ID, "transaction": "unmatched", "user": "[email]"}}
    assert passed.gate.headers(given) == wanted


def test_depth_is_bounded(passed):
    """A value that is nested without end is cut, not followed."""
    deep = value = {}
    for _ in range(500):
        deep["x"] = {}
        deep = deep["x"]
    deep["x"] = "hunter2 a@leak-planted.example"
    cleaned = json.dumps(passed("event", {"extra": value}))
    assert "leak-planted" not in cleaned

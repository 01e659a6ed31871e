"""What an operator finds in Sentry: names, traces, categories, releases, and what is left out on purpose."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.exporter.instrument.sentry.conftest import TOKEN
from tests.waiting import wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def transactions(shop, path, **headers):
    before = len(shop.receiver.items("transaction"))
    shop.get(path, **headers)
    shop.flush()
    return [
        item.json
        for item in shop.receiver.items("transaction")[before:]
        if item.json["transaction"] != "/flush"
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/shop/fine/7", "/api/shop/fine/{customer}"),
        ("/nowhere/7", "unmatched"),
        ("/api/shop/fine", "unmatched"),
    ],
)
def test_a_transaction_has_the_name_of_its_route(shop, path, name):
    """With all prefixes, and never a raw path; what no route answers shares one name."""
    (found,) = transactions(shop, path)
    assert found["transaction"] == name
    assert found["request"]["url"].endswith(name)
    assert "/7" not in json.dumps(found)


def test_an_error_has_the_name_of_its_route_also_within_a_mount(shop):
    """The prefix of the mount is part of it."""
    (event,) = shop.events("/inner/things/7")
    assert event["transaction"] == "/inner/things/{number}"
    assert event["environment"] == "staging"
    assert event["release"] == "shop-1.2.3"


def test_a_name_that_the_application_has_chosen_is_kept(shop):
    """set_transaction_context() names the work, for errors and for the transaction."""
    before = len(shop.receiver.items("transaction"))
    (event,) = shop.events("/api/shop/named")
    assert event["transaction"] == "orders.import"
    assert event["contexts"]["transaction"] == {"source": "sftp"}
    found = [item.json["transaction"] for item in shop.receiver.items("transaction")[before:]]
    assert "orders.import" in found


def test_a_w3c_trace_continues(shop):
    """A traceparent header gives error and transaction its trace id, and the caller's span as parent."""
    header = f"00-{TRACE}-00f067aa0ba902b7-01"
    before = len(shop.receiver.items("transaction"))
    (event,) = shop.events("/api/shop/fail/value", traceparent=header)
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    traces = [item.json["contexts"]["trace"] for item in shop.receiver.items("transaction")[before:]]
    assert ("00f067aa0ba902b7", TRACE) in [(trace["parent_span_id"], trace["trace_id"]) for trace in traces]


def test_one_trace_id_stands_in_exemplar_and_error(shop):
    """Without a header from outside, Watchkeeper makes the trace, and all who tell of the request name it."""

    def both():
        (event,) = shop.events("/api/shop/fail/value")
        page = shop.get("/metrics", accept="application/openmetrics-text").text
        return f'trace_id="{event["contexts"]["trace"]["trace_id"]}"' in page

    wait_for(both)  # an exemplar is kept once a tick, and another request may have been first


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("/api/shop/fail/payment", "payment"),
        ("/api/shop/fail/database", "database"),
        ("/api/shop/fail/value", "api"),
    ],
)
def test_an_error_has_its_category(shop, path, category):
    """As a tag to search for, and in the fingerprint, beside Sentry's own grouping."""
    (event,) = shop.events(path)
    assert event["tags"]["category"] == category
    assert event["fingerprint"] == ["{{ default }}", category]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/api/shop/lost", "not_found"), ("/api/shop/fail/timeout", "timeout"), ("/health", "health_check")],
)
def test_what_is_left_out_on_purpose_is_counted(shop, path, reason):
    """Errors 404, time-outs and those of health checks do not reach Sentry, and are no secret."""
    sample = f'sentry_events_filtered_total{{reason="{reason}"}}'

    def count():
        (line,) = [line for line in shop.get("/metrics").text.splitlines() if line.startswith(sample)]
        return float(line.rpartition(" ")[2])

    before = count()
    assert shop.events(path) == []
    assert count() == before + 1


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_health_and_metrics_are_not_traced(shop, path):
    """They would be most of the traffic."""
    assert transactions(shop, path) == []


def test_context_of_a_captured_error_is_shown_and_scrubbed(shop):
    """Operation and user are searchable, the rest is beside the error."""
    before = len(shop.receiver.events())
    shop.order()
    shop.flush()
    event = next(each for each in shop.receiver.events()[before:] if each["tags"].get("operation") == "load")
    assert event["user"]["id"] == "7"
    assert event["contexts"]["details"] == {"email": "[email]", "token": "[redacted]"}
    assert event["tags"]["category"] == "database"
    assert "[SQL: select * from nowhere where a = ? and b = ?]" in event["exception"]["values"][-1]["value"]


def test_what_helps_to_find_an_error_stays(shop):
    """Scrubbing leaves the sentence, the place in the code and the breadcrumbs."""
    before = len(shop.receiver.events())
    shop.order()
    shop.flush()
    event = shop.receiver.events()[before:][-1]
    error = event["exception"]["values"][-1]
    assert error["type"] == "PaymentRefusedError"
    assert error["value"].startswith("mail [email] card [creditcard] ssn [ssn] phone [phone] password=")
    assert error["stacktrace"]["frames"][-1]["function"] == "order"
    assert "raise PaymentRefusedError" in error["stacktrace"]["frames"][-1]["context_line"]
    assert "signed in [email] with" in str(event["breadcrumbs"])
    assert event["user"] == {"id": "7", "email": "[email]", "username": "[redacted]"}
    assert event["request"]["method"] == "POST"


def test_the_test_page_waits_for_the_delivery(shop):
    """It says that the event arrived, and by then it has."""
    answer = shop.client.post("/api/v1/sentry/test", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["outcome"] == "sent"
    assert said["event_id"] in [event["event_id"] for event in shop.receiver.events()]


def test_the_test_page_is_guarded(shop):
    """Without the token nothing is sent; a GET is the application's."""
    before = len(shop.receiver.events())
    assert shop.client.post("/api/v1/sentry/test").status_code == 401
    wrong = {"Authorization": "Bearer nöt".encode("latin-1")}
    assert shop.client.post("/api/v1/sentry/test", headers=wrong).status_code == 401
    assert shop.get("/api/v1/sentry/test").status_code == 404
    assert len(shop.receiver.events()) == before


def test_the_front_end_gets_its_settings(shop):
    """What a browser needs, in the words of its SDK."""
    answer = shop.get("/api/v1/sentry/settings")
    assert "max-age" in answer.headers["cache-control"]
    assert answer.json() == {
        "dsn": shop.receiver.dsn,
        "environment": "staging",
        "release": "shop-1.2.3",
        "sampleRate": 1.0,
        "tracesSampleRate": 1.0,
        "sendDefaultPii": False,
    }


def test_deliveries_are_counted(shop):
    """Envelopes that were sent, the time of the last one, and what was taken out of them."""
    shop.events("/api/shop/fail/value")
    page = shop.get("/metrics").text
    numbers = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in page.splitlines()}
    assert float(numbers['sentry_envelopes_total{outcome="sent"}']) >= 1
    assert float(numbers["sentry_last_delivery_timestamp_seconds"]) > 1.7e9
    assert float(numbers['pii_redactions_total{kind="email"}']) >= 1
    assert shop.flush()["status"] == "healthy"


def test_the_policy_is_said_without_a_secret(shop):
    """One line tells environment, release, rates and what is collected; the key of the DSN is not in it."""
    policy = shop.flush()["policy"]
    assert "environment staging (SENTRY_ENVIRONMENT)" in policy
    assert "release shop-1.2.3" in policy
    assert "no request data; no local variables" in policy
    assert "4bf92f" not in policy


def test_the_delivery_itself_is_not_traced(shop):
    """A span of the delivery would be delivered, which makes a span."""
    shop.order()
    shop.flush()
    assert b"/api/42/envelope" not in b"".join(envelope.text for envelope in shop.receiver.envelopes)


def test_many_requests_at_once_keep_their_traces(shop):
    """Each error has the trace of its own request."""
    traces = [f"{number:032x}" for number in range(1, 11)]
    before = len(shop.receiver.events())

    def ask(trace):
        shop.get("/api/shop/fail/value", traceparent=f"00-{trace}-00f067aa0ba902b7-00")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(ask, traces))
    shop.flush()
    wait_for(lambda: len(shop.receiver.events()) >= before + 10)
    found = {event["contexts"]["trace"]["trace_id"] for event in shop.receiver.events()[before:]}
    assert found == set(traces)

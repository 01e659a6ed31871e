"""The alert receiver, fed by a real Alertmanager and by hand."""

import json

import httpx
import pytest

from examples import receiver
from scripts.stack.servers import alertmanager
from tests.serving import serving
from tests.waiting import wait_for

WEBHOOK = {
    "version": "4",
    "status": "firing",
    "receiver": "P1",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HighErrorRate", "priority": "P1"},
            "annotations": {"summary": "<script>alert(1)</script>"},
            "startsAt": "2026-03-01T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus",
            "fingerprint": "abc",
        }
    ],
}


@pytest.fixture
def http():
    """A client of a running receiver."""
    with (
        serving(receiver.make()) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        yield client


def test_an_alert_is_kept_with_its_receiver(http):
    """What arrives at /notify/NAME can be read back with labels, status, name of the receiver and time."""
    assert http.post("/notify/pager", json=WEBHOOK).json() == {"kept": 1}
    (alert,) = http.get("/alerts").json()
    assert alert["receiver"] == "pager"
    assert alert["status"] == "firing"
    assert alert["labels"]["alertname"] == "HighErrorRate"
    assert alert["startsAt"] == "2026-03-01T12:00:00Z"
    assert alert["arrived"]


def test_the_page_shows_alerts_as_text(http):
    """The page is for people, and what an alert says is never run."""
    assert "Nothing has arrived yet" in http.get("/").text
    http.post("/notify/pager", json=WEBHOOK)
    page = http.get("/").text
    assert "HighErrorRate" in page
    assert "pager" in page
    assert "<script>" not in page


def test_the_last_five_hundred_are_kept(http):
    """Memory is bounded; the newest stands first."""
    for number in range(6):
        labels = {"labels": {"alertname": f"A{number}"}, "status": "firing"}
        http.post("/notify/pager", json={"alerts": [labels] * 100})
    names = [alert["labels"]["alertname"] for alert in http.get("/alerts").json()]
    assert len(names) == 500
    assert (names[0], names[-1]) == ("A5", "A1")


@pytest.mark.parametrize("body", ["", "no json", "[]", '{"alerts": 1}', '{"alerts": [{}]}'])
def test_what_is_no_webhook_is_refused(http, body):
    """Nonsense is answered with 422 and not kept."""
    assert http.post("/notify/pager", content=body).status_code == 422
    assert http.get("/alerts").json() == []


def test_alertmanager_delivers_firing_and_resolved(http, programs, tmp_path):
    """A real Alertmanager reaches it when an alert fires and again when it is resolved."""
    config = tmp_path / "alertmanager.yml"
    url = f"{http.base_url}/notify/P1"
    config.write_text(
        json.dumps(
            {
                "route": {"receiver": "P1", "group_wait": "0s", "group_interval": "1s"},
                "receivers": [{"name": "P1", "webhook_configs": [{"url": url, "send_resolved": True}]}],
            }
        )
    )
    process = alertmanager(programs["alertmanager"], config, tmp_path / "alertmanager")
    process.start()
    try:
        with httpx.Client(base_url=process.url, trust_env=False) as api:
            alert = {"labels": {"alertname": "Real"}, "annotations": {"summary": "it is real"}}
            assert api.post("/api/v2/alerts", json=[alert]).status_code == 200
            wait_for(lambda: http.get("/alerts").json())
            ended = {**alert, "endsAt": "2026-01-01T00:00:00Z", "startsAt": "2025-12-31T00:00:00Z"}
            assert api.post("/api/v2/alerts", json=[ended]).status_code == 200
            wait_for(lambda: len(http.get("/alerts").json()) == 2, 15)
    finally:
        process.stop()
    resolved, firing = http.get("/alerts").json()
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    assert firing["annotations"] == {"summary": "it is real"}
    assert firing["receiver"] == "P1"

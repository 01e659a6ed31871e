"""The exporter's pages over real sockets: content types, Prometheus's deadline, failures kept inside."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import httpx
import pytest

from exporter.catalog import Metric
from exporter.collectors import CollectorSettings
from exporter.config import load
from exporter.scrape import Scraper
from exporter.server import _deadline, application, scraper
from tests.serving import serving

THINGS = Metric("things", "gauge", "Things there are.")


async def good(settings, keep):
    yield THINGS.sample(1)


async def broken(settings, keep):
    raise ConnectionRefusedError("<secret>")
    yield


@contextlib.contextmanager
def client(**collectors):
    modules = {
        name: (SimpleNamespace(collect=collect), CollectorSettings()) for name, collect in collectors.items()
    }
    app = application(Scraper(modules), 5.0)
    with serving(app) as url, httpx.Client(base_url=url) as http:
        yield http


def test_the_page_is_text_for_every_prometheus():
    """Status 200 and the content type that Prometheus 3 insists on, compressed when asked."""
    with client(good=good) as http:
        answer = http.get("/metrics", headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert "\nthings 1.0\n" in answer.text
    assert "process_start_time_seconds" in answer.text


def test_a_failing_collector_is_a_metric_not_an_outage():
    """The page is 200 and whole for the others."""
    with client(good=good, broken=broken) as http:
        answer = http.get("/metrics")
    assert answer.status_code == 200
    assert 'watchkeeper_collector_success{collector="broken"} 0.0' in answer.text
    assert "\nthings 1.0\n" in answer.text


def test_prometheuss_own_limit_is_honoured():
    """A collector that hangs does not cost the scrape: the answer leaves before Prometheus gives up."""

    async def hung(settings, keep):
        await asyncio.Event().wait()
        yield

    with client(hung=hung, good=good) as http:
        answer = http.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "1"}, timeout=4)
    assert 'watchkeeper_collector_success{collector="hung"} 0.0' in answer.text
    assert "\nthings 1.0\n" in answer.text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 10), ("5", 4.5), ("60", 10), ("0.5", 0.45), ("soon", 10), ("-1", 10), ("nan", 10)],
)
def test_the_deadline_is_the_smaller_of_both_limits(header, seconds):
    """A margin is kept for rendering; a header that makes no sense is ignored."""
    assert _deadline(header, 10) == pytest.approx(seconds)


def test_the_landing_page_tells_what_works():
    """A person who opens the address sees each collector's last run, with the reason of a failure."""
    with client(good=good, broken=broken) as http:
        assert "not run yet" in http.get("/").text
        http.get("/metrics")
        text = http.get("/").text
        assert http.get("/-/healthy").status_code == 200
        assert http.get("/nothing").status_code == 404
    assert "1 samples in" in text
    assert "failed (down)" in text
    assert "<secret>" not in text


def test_scrapes_that_meet_are_all_answered():
    """Ten at once get ten whole pages."""
    gate = threading.Barrier(10)
    with client(good=good) as http:

        def scrape(results):
            gate.wait(10)
            results.append(http.get("/metrics").text)

        results = []
        threads = [threading.Thread(target=scrape, args=(results,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([text for text in results if "\nthings 1.0\n" in text]) == 10


def test_the_build_is_on_the_page():
    """Version and revision of what runs, for the annotation of a deployment."""
    config = load(None, {"WATCHKEEPER_COLLECTORS__HOST": ""})
    app = application(scraper(config), 5.0)
    with serving(app) as url:
        text = httpx.get(f"{url}/metrics").text
    assert 'watchkeeper_build_info{version="' in text

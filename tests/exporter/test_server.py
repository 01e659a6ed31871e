"""The exporter's pages over real sockets: content types, Prometheus's deadline, failures kept inside."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import httpx
import pytest

from exporter.catalog import Metric
from exporter.collectors import CollectorSettings
from exporter.config import Config, ConfigError, ServerSettings, load
from exporter.pages import application, deadline
from exporter.server import build_info
from exporter.service import Service
from tests.serving import serving
from tests.waiting import wait_for_async

THINGS = Metric("things", "gauge", "Things there are.")
OTHERS = Metric("others", "gauge", "Other things.")


async def good(settings, keep):
    yield THINGS.sample(1)


async def broken(settings, keep):
    raise ConnectionRefusedError("<secret>")
    yield


def service_of(collectors, targets=None, load=None):
    """The pages of these functions, as if the folder and the settings had them."""
    pages = [collectors, *(targets or {}).values()]
    modules = {name: SimpleNamespace(collect=run) for page in pages for name, run in page.items()}
    on = [dict.fromkeys(page, CollectorSettings()) for page in pages]
    config = Config(ServerSettings(scrape_timeout=5), on[0], dict(zip(targets or {}, on[1:], strict=True)))
    return Service(config, load, modules=modules)


@contextlib.contextmanager
def client(targets=None, **collectors):
    app = application(service_of(collectors, targets))
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
    assert deadline(header, 10) == pytest.approx(seconds)


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
    app = application(Service(config, extra=[build_info()]))
    with serving(app) as url:
        text = httpx.get(f"{url}/metrics").text
    assert 'watchkeeper_build_info{version="' in text


async def other(settings, keep):
    yield OTHERS.sample(2)


def test_a_scrape_can_be_limited_to_some_collectors():
    """`collect[]` runs the named ones alone, as with the field's other exporters; a typo is told."""
    with client(good=good, other=other) as http:
        text = http.get("/metrics", params={"collect[]": ["other"]}).text
        wrong = http.get("/metrics", params={"collect[]": "goood"})
    assert ("\nothers 2.0\n" in text, "\nthings" in text, "process_" in text) == (True, False, False)
    assert 'watchkeeper_collector_success{collector="good"}' not in text
    assert (wrong.status_code, wrong.text) == (400, "No collector 'goood' here; known are: good, other.\n")


def test_a_target_has_a_page_of_its_own():
    """Two servers of one kind have the same names, so each has its page; the settings name them."""
    with client({"replica": {"other": other}}, good=good) as http:
        page = http.get("/probe", params={"target": "replica"})
        assert ("\nothers 2.0\n" in page.text, "\nthings" in page.text) == (True, False)
        assert "\nothers" not in http.get("/metrics").text
        assert "Metrics of replica" in http.get("/").text
        (found,) = http.get("/targets").json()
    assert found["labels"] == {
        "__metrics_path__": "/probe",
        "__param_target": "replica",
        "instance": "replica",
    }
    assert found["targets"] == [http.base_url.netloc.decode()]


@pytest.mark.parametrize("target", ["", "10.0.0.1:5432", "http://169.254.169.254/", "postgresql://x@y/z"])
def test_no_request_can_name_an_address(target):
    """A page for whatever address somebody asks for would make the exporter their tool."""
    with client({"replica": {"other": other}}, good=good) as http:
        answer = http.get("/probe", params={"target": target})
    assert (answer.status_code, answer.text) == (404, "No such target; known here: replica.\n")


def test_new_settings_come_into_force_and_bad_ones_do_not():
    """POST /-/reload reads them; a fault is answered, shown as a metric, and the old ones go on."""
    loads = iter([ConfigError("x.yml:3: unknown key 'a'"), {"other": other}])

    def load():
        found = next(loads)
        if isinstance(found, ConfigError):
            raise found
        return Config(ServerSettings(), dict.fromkeys(found, CollectorSettings()))

    service = service_of({"good": good}, {"spare": {"other": other}}, load)
    with serving(application(service)) as url, httpx.Client(base_url=url) as http:
        bad = http.post("/-/reload")
        after_bad = http.get("/metrics").text
        assert http.get("/-/reload").status_code == 405
        fine = http.post("/-/reload")
        after_fine = http.get("/metrics").text
    assert (bad.status_code, "x.yml:3: unknown key 'a'" in bad.text) == (500, True)
    assert "\nwatchkeeper_config_last_reload_successful 0.0\n" in after_bad
    assert "\nthings 1.0\n" in after_bad
    assert fine.status_code == 200
    assert "\nwatchkeeper_config_last_reload_successful 1.0\n" in after_fine
    assert ("\nothers 2.0\n" in after_fine, "\nthings" in after_fine) == (True, False)


def test_new_settings_wait_for_the_scrape_under_way():
    """It is answered whole by the old collectors, which are closed before a new one opens anything."""
    events = []

    async def run():
        gate = asyncio.Event()

        async def connect():
            events.append("open")
            return object()

        async def close(thing):
            events.append("close")

        async def held(settings, keep):
            await keep.open("connection", connect, close)
            await gate.wait()
            yield THINGS.sample(1)

        def load():
            return Config(ServerSettings(), {"held": CollectorSettings()})

        async def scrape():
            async with service.scraping() as scraper:
                return await scraper.page(5)

        service = service_of({"held": held}, load=load)
        first = asyncio.create_task(scrape())
        await wait_for_async(lambda: asyncio.sleep(0, bool(events)))
        reload = asyncio.create_task(service.reload())
        await wait_for_async(lambda: asyncio.sleep(0, not service._open.is_set()))
        second = asyncio.create_task(scrape())
        gate.set()
        pages = [await first, await second]
        await reload
        await service.close()
        return pages

    assert ["\nthings 1.0\n" in page for page in asyncio.run(run())] == [True, True]
    assert events == ["open", "close", "open", "close"]


def test_what_takes_a_restart_is_said(caplog):
    """An address, a user or a guard is used once, at the start; silence would look like success."""

    def load():
        return Config(ServerSettings(listen="127.0.0.1:1", user="somebody"), {"good": CollectorSettings()})

    async def run():
        service = service_of({"good": good}, load=load)
        await service.reload()
        await service.close()

    asyncio.run(run())
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"a new server.{key} is used at the next start only" for key in ("listen", "user")]

"""The error boundary: whatever one collector does, the rest of the page is whole and in time."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest

from exporter.catalog import Metric
from exporter.collectors import CollectorSettings
from exporter.scrape import Scraper
from tests.waiting import wait_for_async

THINGS = Metric("things", "gauge", "Things there are.", ("kind",))
UP = Metric("thing_up", "gauge", "Whether things can be counted.")
OTHERS = Metric("other_things", "gauge", "Other things.")


def collector(collect, *, up=None, **settings):
    """A module as the folder would give it, and its settings."""
    module = SimpleNamespace(collect=collect, **({"UP": up} if up else {}))
    return module, CollectorSettings(**settings)


async def good(settings, keep):
    yield OTHERS.sample(1)


async def endless(settings, keep):
    await asyncio.Event().wait()
    yield THINGS.sample(1, kind="never")


def read(samples):
    return {(s.metric.name, *s.labels): s.value for s in samples}


def scrape_once(collectors, deadline=5.0):
    async def run():
        scraper = Scraper(collectors)
        try:
            return read(await scraper.scrape(deadline))
        finally:
            await scraper.close()

    return asyncio.run(run())


def test_a_good_collector_is_published_with_its_health():
    """Its samples, success 1, a duration and the time of the last success."""
    page = scrape_once({"good": collector(good, up=UP)})
    assert page["other_things",] == 1
    assert page["thing_up",] == 1
    assert page["watchkeeper_collector_success", "good"] == 1
    assert page["watchkeeper_collector_duration_seconds", "good"] >= 0
    assert time.time() - page["watchkeeper_collector_last_success_timestamp_seconds", "good"] < 60


def test_a_collector_that_raises_half_way_gives_nothing_and_spoils_nothing():
    """All or nothing: no half-filled family, and the others are whole."""

    async def half(settings, keep):
        yield THINGS.sample(1, kind="first")
        raise ConnectionRefusedError("nobody there")

    page = scrape_once({"half": collector(half, up=UP), "good": collector(good)})
    assert ("things", "first") not in page
    assert page["watchkeeper_collector_success", "half"] == 0
    assert page["watchkeeper_collector_failures_total", "half", "down"] == 1
    assert page["thing_up",] == 0
    assert page["other_things",] == 1


def test_an_error_after_it_let_us_in_does_not_call_the_server_down():
    """A missing right is a failure of the collector; the database itself is up."""

    async def forbidden(settings, keep):
        raise PermissionError("not yours")
        yield

    page = scrape_once({"x": collector(forbidden, up=UP)})
    assert (page["watchkeeper_collector_success", "x"], page["thing_up",]) == (0, 1)


def test_a_collector_that_hangs_delays_nobody():
    """The page comes at the deadline, with the hanging one as failed and its time so far."""
    started = time.monotonic()
    page = scrape_once({"hung": collector(endless, up=UP), "good": collector(good)}, deadline=0.05)
    assert time.monotonic() - started < 4
    assert page["other_things",] == 1
    assert page["watchkeeper_collector_success", "hung"] == 0
    assert page["thing_up",] == 0
    assert page["watchkeeper_collector_duration_seconds", "hung"] >= 0.05


def test_a_collector_that_will_not_be_cancelled_delays_nobody():
    """Even code that swallows its cancellation cannot keep the page or the stop waiting."""

    async def stubborn(settings, keep):
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        yield OTHERS.sample(1)

    async def run():
        scraper = Scraper({"stubborn": collector(stubborn, timeout=0.05), "good": collector(good)})
        pages = [read(await scraper.scrape(0.1)) for _ in range(2)]
        await scraper.close()
        return pages

    for page in asyncio.run(run()):
        assert page["watchkeeper_collector_success", "stubborn"] == 0
        assert page["other_things",] == 1


def test_scrapes_that_meet_share_one_run():
    """A pair of Prometheus servers scrapes at the same moment: one run, two full pages."""
    runs = []

    async def slow(settings, keep):
        runs.append(1)
        await asyncio.sleep(0.02)
        yield OTHERS.sample(1)

    async def run():
        scraper = Scraper({"slow": collector(slow)})
        pages = await asyncio.gather(*(scraper.scrape(5) for _ in range(3)))
        await scraper.close()
        return pages

    assert [read(page)["other_things",] for page in asyncio.run(run())] == [1, 1, 1]
    assert runs == [1]


def test_what_is_kept_is_dropped_after_a_failure_and_opened_again():
    """A broken connection never poisons the next run; a memory outlives it."""
    events = []

    async def connect():
        events.append("open")
        return object()

    async def close(thing):
        events.append("close")

    async def shaky(settings, keep):
        await keep.open("connection", connect, close)
        memory = keep.remember("memory", list)
        memory.append(1)
        if len(memory) == 2:
            raise OSError
        yield OTHERS.sample(len(memory))

    async def run():
        scraper = Scraper({"shaky": collector(shaky)})
        values = [read(await scraper.scrape(5)).get(("other_things",)) for _ in range(3)]
        await scraper.close()
        return values

    assert asyncio.run(run()) == [1, None, 3]
    assert events == ["open", "close", "open", "close"]


def test_an_expensive_collector_runs_in_the_background():
    """With an interval its samples are served from the last run, and their age is visible."""
    runs = []

    async def expensive(settings, keep):
        runs.append(1)
        yield OTHERS.sample(len(runs))

    async def run():
        scraper = Scraper({"x": collector(expensive, interval=3600)})
        pages = [read(await scraper.scrape(5)) for _ in range(3)]
        await scraper.close()
        return pages

    pages = asyncio.run(run())
    assert [page["other_things",] for page in pages] == [1, 1, 1]
    assert len({page["watchkeeper_collector_last_success_timestamp_seconds", "x"] for page in pages}) == 1
    assert runs == [1]


def test_a_series_given_twice_fails_its_collector_not_the_page():
    """Prometheus would keep one of the two values without a word."""

    async def twice(settings, keep):
        yield THINGS.sample(1, kind="a")
        yield THINGS.sample(2, kind="a")

    page = scrape_once({"twice": collector(twice), "good": collector(good)})
    assert page["watchkeeper_collector_success", "twice"] == 0
    assert page["other_things",] == 1


def test_two_collectors_cannot_publish_one_name(caplog):
    """The first keeps the name; the second fails as any other would: counted, logged, told by `outcomes`."""

    async def run():
        scraper = Scraper({"first": collector(good), "second": collector(good)})
        await scraper.scrape(5)
        page = read(await scraper.scrape(5))
        results = {runner.name: outcome for runner, outcome in await scraper.outcomes(5)}
        await scraper.close()
        return page, results

    page, results = asyncio.run(run())
    assert page["watchkeeper_collector_success", "first"] == 1
    assert page["watchkeeper_collector_success", "second"] == 0
    assert ("watchkeeper_collector_last_success_timestamp_seconds", "second") not in page
    assert page["watchkeeper_collector_failures_total", "second", "invalid"] == 2
    assert results["second"].advice.startswith("Metric other_things is published by first already")
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("watchkeeper_collector_success", "Watchkeeper itself"),
        ("process_open_fds", "Watchkeeper itself"),
        ("up", "Watchkeeper itself"),
        ("thing_up", "the scrape for good"),
        ("own_up", "the scrape for thief"),
    ],
)
def test_no_collector_can_take_a_name_that_is_published_for_it(name, owner):
    """Health, UP and process series stand on the page once, whatever a collector yields."""
    taken = Metric(name, "gauge", "Not its own.")

    async def thief(settings, keep):
        yield taken.sample(7)

    async def run():
        own_up = Metric("own_up", "gauge", "Whether it is up.")
        scraper = Scraper({"thief": collector(thief, up=own_up), "good": collector(good, up=UP)})
        samples = await scraper.scrape(5)
        (told,) = [outcome.advice for runner, outcome in await scraper.outcomes(5) if runner.name == "thief"]
        await scraper.close()
        return samples, told

    samples, told = asyncio.run(run())
    assert taken not in [sample.metric for sample in samples]
    assert read(samples)["watchkeeper_collector_success", "thief"] == 0
    assert told.startswith(f"Metric {name} is published by {owner} already")


def test_closing_answers_a_scrape_under_way_at_once():
    """A stop does not wait for a collector that hangs, even one that will not be cancelled."""

    async def run():
        gate = asyncio.Event()

        async def stubborn(settings, keep):
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()
            yield THINGS.sample(1, kind="late")

        scraper = Scraper({"stubborn": collector(stubborn), "good": collector(good)})
        scrape = asyncio.create_task(scraper.scrape(3600))

        async def answered():
            return scraper.runners[1].last

        await wait_for_async(answered)
        await scraper.close()
        try:
            async with asyncio.timeout(10):
                return read(await scrape)
        finally:
            gate.set()

    page = asyncio.run(run())
    assert page["other_things",] == 1
    assert page["watchkeeper_collector_success", "stubborn"] == 0


@pytest.mark.parametrize("secret", ["hunter2"])
def test_a_failure_is_logged_once_and_without_the_drivers_words(caplog, secret):
    """A database that is down for hours gives one line, and a password in an exception stays out of it."""

    async def leaky(settings, keep):
        raise ConnectionRefusedError(f"postgresql://user:{secret}@db")
        yield

    async def run():
        scraper = Scraper({"leaky": collector(leaky)})
        for _ in range(3):
            await scraper.scrape(5)
        await scraper.close()

    with caplog.at_level("DEBUG", logger="watchkeeper"):
        asyncio.run(run())
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "leaky" in warnings[0].getMessage()
    assert secret not in caplog.text

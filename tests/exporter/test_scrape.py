"""The error boundary: whatever one collector does, the rest of the page is whole and in time."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.catalog import Metric
from exporter.collectors import CollectorSettings, Part
from exporter.scrape import LAST_SUCCESS, Scraper
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


def parted(*parts, up=None, **settings):
    """A module of several parts, and its settings."""
    module = SimpleNamespace(parts=lambda settings: parts, **({"UP": up} if up else {}))
    return module, CollectorSettings(**settings)


async def refused(settings, keep):
    raise ConnectionRefusedError("nobody there")
    yield


def test_a_part_fails_without_the_others():
    """Each part has its own outcome under its own name; one that was let in says that the server is up."""
    page = scrape_once({"db": parted(Part("a", good), Part("b", refused), Part("", endless), up=UP)}, 0.1)
    assert page["other_things",] == 1
    assert page["watchkeeper_collector_success", "db.a"] == 1
    assert page["watchkeeper_collector_success", "db.b"] == 0
    assert page["watchkeeper_collector_success", "db"] == 0
    assert page["watchkeeper_collector_failures_total", "db.b", "down"] == 1
    assert page["thing_up",] == 1


def test_a_server_is_down_when_no_part_was_let_in():
    """What a part in the background still shows from better times does not call it up."""

    async def run():
        scraper = Scraper({"db": parted(Part("fast", refused), Part("slow", good, interval=3600), up=UP)})
        page = read(await scraper.scrape(5))
        await scraper.close()
        return page

    page = asyncio.run(run())
    assert (page["thing_up",], page["other_things",]) == (0, 1)


def test_parts_share_a_name_but_never_a_series():
    """Two databases give the same metric, each its own series; the same series twice fails the second."""

    def of(kind):
        async def collect(settings, keep):
            yield THINGS.sample(1, kind=kind)

        return collect

    async def run():
        scraper = Scraper({"db": parted(Part("a", of("x")), Part("b", of("y")), Part("c", of("x")))})
        pages = [read(await scraper.scrape(5)), (await scraper.page(5))]
        await scraper.close()
        return pages

    page, text = asyncio.run(run())
    assert page["things", "x"] == page["things", "y"] == 1
    assert page["watchkeeper_collector_success", "db.c"] == 0
    assert text.count("# TYPE things gauge") == 1
    assert 'things{kind="x"} 1.0\nthings{kind="y"} 1.0\n' in text


def test_what_parts_share_is_made_once_and_closed_at_the_end():
    """Connections to one server are one pool for all that ask it, failures or not."""
    events = []

    async def close(thing):
        events.append("close")

    def make():
        events.append("make")
        return object()

    async def works(settings, keep):
        keep.shared("pool", make, close)
        yield OTHERS.sample(1)

    async def fails(settings, keep):
        keep.shared("pool", make, close)
        raise OSError
        yield

    async def run():
        scraper = Scraper({"a": parted(Part("x", works), Part("y", fails)), "b": collector(fails)})
        for _ in range(2):
            await scraper.scrape(5)
        events.append("end")
        await scraper.close()

    asyncio.run(run())
    assert events == ["make", "end", "close"]


def test_a_collector_that_was_late_is_not_waited_for_again():
    """A frozen server costs the full time-out once; then it is tried again while the page goes out."""
    frozen = True

    async def thawing(settings, keep):
        if frozen:
            await asyncio.Event().wait()
        yield OTHERS.sample(1)

    async def run():
        nonlocal frozen
        scraper = Scraper({"x": collector(thawing, timeout=0.05)})
        await scraper.scrape(5)
        patience = scraper.runners[0].patience
        frozen = False
        page = read(await scraper.scrape(5))
        await scraper.close()
        return patience, page, scraper.runners[0].patience

    patience, page, later = asyncio.run(run())
    assert (patience, later) == (1.0, float("inf"))
    assert page["other_things",] == 1


def test_the_background_shows_its_last_good_samples_for_a_while(monkeypatch):
    """A failed run is told at once; what the one before it gave stays for three intervals, then it goes."""
    now = [1000.0]
    monkeypatch.setattr(
        "exporter.runner.time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0])
    )
    works = [True, False, False, False]

    async def shaky(settings, keep):
        if not works.pop(0):
            raise OSError
        yield OTHERS.sample(1)

    async def run():
        scraper = Scraper({"x": collector(shaky, interval=10)})

        async def look(at):
            now[0] = 1000.0 + at
            await scraper.scrape(5)  # starts the run that is due
            await scraper.runners[0].current()
            page = read(await scraper.scrape(5))
            return page.get(("other_things",)), page["watchkeeper_collector_success", "x"]

        first = read(await scraper.scrape(5))
        seen = [await look(11), await look(29), await look(31)]
        await scraper.close()
        return first, seen

    first, seen = asyncio.run(run())
    assert first["other_things",] == 1
    assert seen == [(1, 0), (1, 0), (None, 0)]


def test_the_page_is_the_samples_as_text():
    """`page` and `scrape` tell the same; a text is escaped, and no number is invented."""

    async def odd(settings, keep):
        yield THINGS.sample(float("inf"), kind='a"b\\c\nd')
        yield THINGS.sample(0.1, kind="")

    async def run():
        scraper = Scraper({"odd": collector(odd), "good": collector(good)})
        text = await scraper.page(5)
        samples = await scraper.scrape(5)
        await scraper.close()
        return text, samples

    text, samples = asyncio.run(run())
    parsed = {
        (s.name, *s.labels.values()): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    changing = ("watchkeeper_collector_duration_seconds", LAST_SUCCESS.name)
    assert {k: v for k, v in parsed.items() if k[0] not in changing} == {
        k: v for k, v in read(samples).items() if k[0] not in changing
    }


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


def test_a_server_that_is_gone_is_logged_once_for_all_its_parts(caplog):
    """Eighteen lines for one outage would hide it; what a part alone lacks is told of that part."""
    down = True

    async def asks(settings, keep):
        if down:
            raise ConnectionRefusedError
        yield OTHERS.sample(1)

    async def asks_too(settings, keep):
        if down:
            raise ConnectionRefusedError
        yield THINGS.sample(1, kind="a")

    async def forbidden(settings, keep):
        raise PermissionError
        yield

    async def run():
        nonlocal down
        scraper = Scraper({"db": parted(Part("a", asks), Part("b", asks_too), Part("c", forbidden))})
        for _ in range(2):
            await scraper.scrape(5)
        down = False
        for _ in range(2):
            await scraper.scrape(5)
        await scraper.close()

    with caplog.at_level("INFO", logger="watchkeeper"):
        asyncio.run(run())
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert sorted(told) == [
        "collector db failed (down)",
        "collector db works again",
        "collector db.c failed (permission)",
    ]

"""The hit ratio over five minutes: any rhythm, any restart."""

import random

import pytest

from exporter.collectors.redis._hit_ratio import HitRatio

DAY = 86400.0


def fed(*readings: tuple[float, float, float], uptime: float = DAY) -> HitRatio:
    history = HitRatio()
    for time, hits, misses in readings:
        history.add(time, hits=hits, misses=misses, uptime=uptime + time)
    return history


def test_the_first_reading_of_an_old_server_says_nothing():
    """Counters since the server's start are no ratio of the last five minutes."""
    assert fed((0, 900, 100)).ratio() is None


def test_the_first_reading_of_a_new_server_counts():
    """All that a server younger than five minutes has counted lies within them."""
    assert fed((0, 30, 10), uptime=100).ratio() == 0.75


def test_no_lookups_give_no_ratio():
    """A cache that nobody asked has no ratio, not 0."""
    assert fed((0, 5, 5), (15, 5, 5)).ratio() is None


def test_only_the_last_five_minutes_count():
    """Lookups of ten minutes ago have no part in it."""
    history = fed(*[(t, t, 0) for t in range(0, 600, 15)], *[(t, 600, t - 600) for t in range(600, 915, 15)])
    assert history.ratio() == pytest.approx(0.0)


@pytest.mark.parametrize("rhythm", [1, 7, 15, 60, 240])
def test_the_rhythm_of_scrapes_does_not_matter(rhythm: int):
    """At a steady 80 % the ratio is 0.8, however often it is read."""
    assert fed(*[(t, 4 * t, t) for t in range(0, 1800, rhythm)]).ratio() == pytest.approx(0.8)


def test_several_scrapers_see_what_one_would():
    """Extra readings at odd moments change nothing."""
    dice = random.Random(7)
    hits = [0.0]
    misses = [0.0]
    for _ in range(1200):
        hits.append(hits[-1] + dice.randrange(5))
        misses.append(misses[-1] + dice.randrange(3))
    one = [(t, hits[t], misses[t]) for t in range(0, 1201, 15)]
    other = [(t, hits[t], misses[t]) for t in range(4, 1200, 31)]
    exact = (hits[1200] - hits[900]) / (hits[1200] - hits[900] + misses[1200] - misses[900])
    assert fed(*one).ratio() == pytest.approx(exact)
    assert fed(*sorted(one + other)).ratio() == pytest.approx(exact)


def test_a_restart_loses_and_invents_nothing():
    """After counters start anew, what was counted before and since stands together."""
    assert fed((0, 100, 100), (15, 130, 110), (30, 10, 10)).ratio() == pytest.approx(40 / 60)


def test_a_long_gap_says_nothing():
    """When nobody read for an hour, the next reading starts over rather than tell of that hour."""
    history = fed((0, 0, 0), (15, 10, 0), (3600, 500, 500))
    assert history.ratio() is None
    history.add(3615, hits=501, misses=503, uptime=DAY)
    assert history.ratio() == 0.25


def test_memory_is_bounded():
    """A thousand scrapes a second do not pile up."""
    history = fed(*[(t / 100, t, 0) for t in range(60_000)])
    assert len(history._readings) < 700

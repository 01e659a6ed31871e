"""Lookups in caches of the application."""


def test_hits_and_misses_are_counted_from_zero(observed):
    """Both series exist at once, so that a hit ratio can be computed from the first lookup on."""
    cache = observed.obs.cache("sessions")
    assert observed.value("cache_requests_total", cache="sessions", result="miss") == 0
    cache.hit()
    cache.hit()
    cache.miss()
    assert observed.value("cache_requests_total", cache="sessions", result="hit") == 2
    assert observed.value("cache_requests_total", cache="sessions", result="miss") == 1

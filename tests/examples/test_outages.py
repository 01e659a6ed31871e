"""The demo SaaS when its servers are away, frozen or late."""

import time

import httpx
import pytest

from tests.waiting import wait_for


@pytest.fixture
def redis_away(demo):
    """Redis stopped during the test, back after it."""
    demo.redis.stop()
    yield demo
    demo.redis.start()


def test_without_redis_the_shop_goes_on(redis_away):
    """Every read is a miss and every page answers."""
    user_id, session = redis_away.session()
    misses = redis_away.metric("cache_requests_total", cache="products", result="miss")
    for _ in range(3):
        assert redis_away.http.get("/products/3").status_code == 200
    assert redis_away.http.get(f"/account/{user_id}", headers=session).status_code == 200
    assert redis_away.metric("cache_requests_total", cache="products", result="miss") == misses + 3


def test_redis_is_used_again_when_it_is_back(demo):
    """After an outage the cache hits again by itself."""
    demo.redis.stop()
    assert demo.http.get("/products/4").status_code == 200
    demo.redis.start()
    hits = demo.metric("cache_requests_total", cache="products", result="hit")

    def hit() -> bool:
        demo.http.get("/products/4")
        return demo.metric("cache_requests_total", cache="products", result="hit") > hits

    wait_for(hit)


def test_a_frozen_redis_delays_a_page_once(demo):
    """A Redis that hangs costs a fraction of a second, and is then left alone for a while."""
    demo.redis.freeze()
    try:
        started = time.monotonic()
        assert [demo.http.get(f"/products/{number}").status_code for number in (5, 6, 7)] == [200] * 3
        assert time.monotonic() - started < 1.5  # three times two time limits would be 1.2 s and more
    finally:
        demo.redis.thaw()


def test_without_postgres_pages_say_so_and_recover(demo):
    """What needs the database answers 503 with a hint to come back; it works again when Postgres does."""
    demo.postgres.stop()
    try:
        answer = demo.http.post("/login", json={"email": "user1@example.com"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert "Postgres" in answer.json()["detail"]
        assert demo.http.get("/health").status_code == 200
        assert demo.http.get("/metrics").status_code == 200
    finally:
        demo.postgres.start()
    wait_for(lambda: demo.http.post("/login", json={"email": "user1@example.com"}).status_code == 200)


def test_a_frozen_postgres_holds_no_request_for_long(demo):
    """A database that hangs is given up on after seconds, and used again when it moves."""
    demo.postgres.freeze()
    try:
        started = time.monotonic()
        assert demo.http.post("/login", json={"email": "user1@example.com"}).status_code == 503
        assert time.monotonic() - started < 9
    finally:
        demo.postgres.thaw()
    wait_for(lambda: demo.http.post("/login", json={"email": "user1@example.com"}).status_code == 200)


def test_the_application_waits_for_a_postgres_that_is_starting(demo, new_app, ai_url):
    """Started before its database, it says what it waits for, without the password, and then comes up."""
    late = new_app(
        DATABASE_URL=demo.postgres.dsn,
        REDIS_URL=demo.redis.url,
        OPENAI_BASE_URL=ai_url,
        DEMO_INVOICE_SECONDS="60",
    )
    demo.postgres.stop()
    try:
        late.launch()
        wait_for(lambda: "waiting" in late.last_lines(), message="the line in the log")
        place = f"Postgres at 127.0.0.1:{demo.postgres.port}/postgres does not answer"
        assert place in late.last_lines()
        assert demo.postgres.password not in late.last_lines()
    finally:
        demo.postgres.start()
    late.wait_ready()
    late.stop()


def test_an_ai_service_that_is_away_is_a_503(demo, new_app):
    """The page says that the AI service is away, and the call is recorded as a connection error."""
    alone = new_app(
        DATABASE_URL=demo.postgres.dsn,
        REDIS_URL=demo.redis.url,
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
        DEMO_INVOICE_SECONDS="60",
    )
    alone.start()
    with httpx.Client(base_url=alone.url, timeout=10, trust_env=False) as http:
        assert http.post("/summaries", json={"text": "a note"}).status_code == 503
        page = http.get("/metrics").text
        assert 'ai_api_errors_total{provider="openai",model="gpt-5.6-mini",category="connection"} 1.0' in page
        refused = http.post("/faults/errors")
        assert (refused.status_code, "DEMO_FAULTS=" in refused.text) == (403, True)
    alone.stop()

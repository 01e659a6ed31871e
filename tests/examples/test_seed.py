"""The demo's past: the same every time, and plausible."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from examples.seed import COLUMNS, history
from examples.shop.billing import MONTHLY_CENTS
from exporter import sql_check
from exporter.collectors import sql

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_past_is_the_same_every_time():
    """The same seed and hour give the same rows; another seed gives others."""
    assert history(NOW, seed=5) == history(NOW, seed=5)
    assert history(NOW, seed=5) != history(NOW, seed=6)


def test_rows_have_a_value_for_each_column():
    """What is copied to the tables fits their columns."""
    past = history(NOW)
    for table, columns in COLUMNS.items():
        assert {len(row) for row in getattr(past, table)} == {len(columns)}


def test_nothing_happens_in_the_future_or_before_ninety_days():
    """Sign-ups fill ninety days up to now; nobody is seen, pays or cancels later than now."""
    past = history(NOW)
    created = [user[2] for user in past.users]
    assert NOW - timedelta(days=90) <= min(created) < NOW - timedelta(days=80)
    assert created == sorted(created)
    moments = created + [user[3] for user in past.users] + [payment[4] for payment in past.payments]
    moments += [subscription[6] for subscription in past.subscriptions if subscription[6]]
    assert max(moments) <= NOW
    assert all(user[3] >= user[2] for user in past.users)


def test_every_panel_has_something_to_show():
    """All plans, cancelled and active subscriptions, payments of every status, visitors of today."""
    past = history(NOW)
    plans = Counter((row[2], row[3]) for row in past.subscriptions)
    for plan in MONTHLY_CENTS:
        assert plans[plan, "active"] > 0
    assert plans["pro", "cancelled"] > 0
    assert {row[3] for row in past.payments} == {"succeeded", "failed", "refunded"}
    assert sum(user[3] > NOW - timedelta(days=1) for user in past.users) > 20


def test_all_figures_have_something_to_count(demo):
    """With the exporter's role, every metric that is shipped for these tables has a series."""
    settings = sql.Settings(dsn=demo.postgres.monitor_dsn, file=sql.SHIPPED)
    checks = asyncio.run(sql_check.check(settings))
    assert [each.says() for each in checks if each.error] == []
    given = {sample.metric.name for each in checks for sample in each.result.samples}
    assert given == {metric.name for metric in sql.declared_metrics()}


def test_payments_belong_to_paying_users(demo):
    """In the database: no payment at another price than the plan's, no two active subscriptions."""
    strange = demo.rows(
        "SELECT * FROM payments JOIN subscriptions USING (user_id)"
        " WHERE user_id <= 600 AND amount_cents NOT IN (2900, 9900)"
    )
    assert strange == []
    assert demo.rows("SELECT count(*) AS n FROM users WHERE id <= 600") == [{"n": 600}]


def test_a_second_start_adds_nothing(demo, new_app, ai_url):
    """An application that finds its tables filled leaves them as they are."""
    before = demo.rows("SELECT count(*) AS users, max(id) AS newest FROM users")
    again = new_app(DATABASE_URL=demo.postgres.dsn, REDIS_URL=demo.redis.url, OPENAI_BASE_URL=ai_url)
    again.start()
    again.stop()
    assert demo.rows("SELECT count(*) AS users, max(id) AS newest FROM users") == before

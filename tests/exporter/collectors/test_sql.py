"""Figures from SQL: the shipped sets on the demo's tables, and what is declared."""

import asyncio

import pytest

from exporter.catalog import Metric
from exporter.collectors import sql as collector
from exporter.collectors._reasons import reason
from tests.exporter.collectors.driving import execute, failure, read_once
from tests.exporter.collectors.sql_files import told

FILLED = [
    "insert into users (email, last_seen_at) values"
    " ('a', now() - interval '1 hour'), ('b', now() - interval '3 days'), ('c', now() - interval '90 days')",
    "insert into subscriptions (user_id, plan, status, monthly_price_cents, started_at, cancelled_at) values"
    " (1, 'pro', 'active', 1950, now() - interval '60 days', null),"
    " (2, 'team', 'active', 9900, now() - interval '10 days', null),"
    " (3, 'pro', 'cancelled', 1950, now() - interval '90 days', now() - interval '5 days')",
    "insert into payments (user_id, amount_cents, status, created_at) values"
    " (1, 1950, 'succeeded', now() - interval '2 hours'), (2, 9900, 'succeeded', now() - interval '3 days'),"
    " (3, 1950, 'failed', now() - interval '30 minutes'), (3, 1950, 'refunded', now() - interval '20 days')",
    "insert into fraud_checks (payment_id, model, flagged, fraudulent) values"
    " (1, 'rules-1', true, true), (2, 'rules-1', true, false), (3, 'rules-1', false, false),"
    " (4, 'rules-1', false, null)",
    "insert into feature_uses (feature, user_id, last_used_at) values"
    " ('search', 1, now()), ('search', 2, now() - interval '40 days')",
    "insert into sessions (token, user_id, created_at) values"
    " ('t1', 1, now()), ('t2', 1, now() - interval '2 days')",
    "insert into logins (user_id, result) values (1, 'success'), (1, 'success'), (null, 'failure')",
    "insert into mfa_devices (user_id) values (2)",
    "insert into audit_log (user_id, action) values (1, 'login'), (2, 'checkout')",
    "insert into feature_flags (name, enabled, rollout_percent) values"
    " ('new_checkout', true, 25), ('dark_mode', false, 100)",
    "insert into feature_flag_changes (flag, enabled, rollout_percent) values"
    " ('new_checkout', false, 0), ('new_checkout', true, 25)",
    "insert into feature_flag_evaluations (flag, variant, evaluations) values ('new_checkout', 'on', 7)",
]

FIGURES = {
    ("business_users",): 3,
    ("business_signups_total",): 3,
    ("business_active_users", "1d"): 1,
    ("business_active_users", "7d"): 2,
    ("business_active_users", "30d"): 2,
    ("business_subscriptions", "pro", "active"): 1,
    ("business_subscriptions", "team", "active"): 1,
    ("business_subscriptions", "pro", "cancelled"): 1,
    ("business_subscriptions_cancelled_total",): 1,
    ("business_mrr", "USD"): 118.5,
    ("business_arpu", "USD"): 59.25,
    ("business_paying_subscriptions", "USD"): 2,
    ("business_churn_ratio", "30d"): 0.5,  # two paid thirty days ago, one of them has gone
    ("business_payments_total", "succeeded"): 3,
    ("business_payments_total", "failed"): 1,
    ("business_payments_total", "refunded"): 1,
    ("business_conversions_total",): 3,
    ("business_revenue_total", "USD"): 138.0,
    ("business_revenue", "USD", "1d"): 19.5,
    ("business_revenue", "USD", "7d"): 118.5,
    ("business_revenue", "USD", "30d"): 138.0,
    ("business_payment_success_ratio", "1h"): 0,
    ("business_payment_success_ratio", "1d"): 0.5,
    ("business_feature_users", "search"): 1,
    ("business_feature_adoption_ratio", "search"): 0.5,
    ("business_model_accuracy_ratio", "rules-1"): pytest.approx(2 / 3),
    ("business_model_false_positive_ratio", "rules-1"): 0.5,
    ("auth_logins_total", "success"): 2,
    ("auth_logins_total", "failure"): 1,
    ("auth_sessions_active",): 1,
    ("auth_mfa_enrolled_ratio",): pytest.approx(1 / 3),
    ("audit_log_entries_total",): 2,
    ("feature_flag_enabled", "new_checkout"): 1,
    ("feature_flag_enabled", "dark_mode"): 0,
    ("feature_flag_rollout_ratio", "new_checkout"): 0.25,
    ("feature_flag_rollout_ratio", "dark_mode"): 1,
    ("feature_flag_changes_total", "new_checkout"): 2,
    ("feature_flag_changes_total", "dark_mode"): 0,
    ("feature_flag_evaluations_total", "new_checkout", "on"): 7,
}


def prepare(shop):
    """For the contract: the demo's tables with a few rows in each."""
    asyncio.run(execute(shop.dsn, *FILLED))
    yield {"dsn": shop.monitor_dsn, "file": list(collector.SHIPPED)}


def all_of(shop) -> collector.Settings:
    return collector.Settings(dsn=shop.monitor_dsn, file=collector.SHIPPED)


def test_the_shipped_figures_are_right(shop):
    """Every metric of every shipped file, against numbers counted by hand."""
    asyncio.run(execute(shop.dsn, *FILLED))
    assert told(read_once(collector, all_of(shop))) == FIGURES


def test_a_refund_lowers_no_counter(shop):
    """What came in stays counted when it is paid back: to Prometheus a fall would be a restart."""
    asyncio.run(execute(shop.dsn, *FILLED))
    before = told(read_once(collector, all_of(shop)))
    asyncio.run(execute(shop.dsn, "update payments set status = 'refunded' where id = 2"))
    after = told(read_once(collector, all_of(shop)))
    assert after["business_payments_total", "refunded"] == 2
    counters = [series for series in before if series[0].endswith("_total")]
    assert [series for series in counters if after[series] < before[series]] == []


def test_an_empty_shop_has_figures(shop):
    """Before the first customer the counts are 0, ratios are missing, and nothing fails."""
    figures = told(read_once(collector, all_of(shop)))
    assert figures["business_users",] == 0
    assert figures["business_payments_total", "succeeded"] == 0
    assert [name for name, *_ in figures if name.endswith("_ratio")] == []


def test_the_shipped_metrics_are_declared_once():
    """The inventory gets the same objects each time, and what runs gives those."""
    declared = list(collector.declared_metrics())
    assert all(isinstance(metric, Metric) for metric in declared)
    assert [id(metric) for metric in declared] == [id(metric) for metric in collector.declared_metrics()]
    assert {m.name: (m.kind, m.labels) for m in declared}["business_revenue"] == (
        "gauge",
        ("currency", "window"),
    )
    given = collector.Settings(dsn="postgresql://db/x", file=collector.SHIPPED).queries
    assert {id(metric) for query in given for _, metric in query.metrics} == {id(each) for each in declared}


def test_each_query_is_a_part_with_its_own_interval():
    """A part is called as its query; one without an interval has that of the settings."""
    parts = {part.name: part for part in collector.parts(collector.Settings(dsn="postgresql://db/x"))}
    assert {"users", "payments", "churn"} <= set(parts)
    assert parts["users"].interval == 30
    assert parts["users"].timeout < 30 * 3


def test_a_missing_table_is_told_with_its_query(database):
    """The message names the query, where it stands, and what Postgres misses; the reason is `invalid`."""
    error = failure(collector, collector.Settings(dsn=database.monitor_dsn))
    assert "business.yml, line " in str(error)
    assert str(error).startswith("query users (")
    assert str(error).endswith('): relation "users" does not exist, in line 5 of it')
    assert reason(error) == "invalid"

"""The recipes of docs/sql-metrics.md: each runs on its tables, and gives the right numbers."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from exporter import inventory
from exporter.collectors import sql as collector
from tests.exporter.collectors.driving import execute, read_once
from tests.exporter.collectors.sql_files import told

PAGE = (Path(__file__).parents[3] / "docs/sql-metrics.md").read_text()
MONITOR = "grant select on all tables in schema public to public"


class Recipe(NamedTuple):
    """A section of the page, and what comes out of it with these rows."""

    rows: list[str]
    figures: dict[tuple[str, ...], float]


RECIPES = {
    "Daily, weekly and monthly active users": Recipe(
        [
            "insert into users values (1, now()), (2, now()), (3, now())",
            "insert into events values (1, 'x', now()), (1, 'x', now()), (2, 'x', now() - interval '3 days'),"
            " (3, 'x', now() - interval '20 days'), (4, 'x', now() - interval '40 days')",
        ],
        {
            ("business_active_users", "1d"): 1,
            ("business_active_users", "7d"): 2,
            ("business_active_users", "30d"): 3,
            ("business_signups_total",): 3,
        },
    ),
    "Subscriptions as in Stripe": Recipe(
        [
            "insert into prices values ('month', 'usd', 1000, 'month', 1), ('year', 'usd', 12000, 'year', 1),"
            " ('yen', 'jpy', 3000, 'month', 3), ('free', 'usd', 0, 'month', 1)",
            "insert into subscriptions values"
            " ('a', 'anna', 'active', now() - interval '60 days', now() - interval '50 days', null),"
            " ('b', 'ben', 'past_due', now() - interval '20 days', now() - interval '6 days', null),"
            " ('c', 'cleo', 'canceled', now() - interval '90 days', null, now() - interval '5 days'),"
            " ('d', 'anna', 'active', now() - interval '10 days', null, null),"
            " ('e', 'emil', 'canceled', now() - interval '20 days', now() - interval '6 days',"
            " now() - interval '6 days'),"
            " ('f', 'finn', 'trialing', now(), now() + interval '14 days', null),"
            " ('g', 'gina', 'active', now(), null, null)",
            "insert into subscription_items values ('a', 'month', 3), ('b', 'year', 1), ('c', 'month', 1),"
            " ('d', 'yen', 1), ('f', 'month', 9), ('g', 'free', 1)",
        ],
        {
            ("business_subscriptions", "active"): 3,
            ("business_subscriptions", "past_due"): 1,
            ("business_subscriptions", "canceled"): 2,
            ("business_subscriptions", "trialing"): 1,
            ("business_mrr", "usd"): pytest.approx(40),  # three at ten a month, one at 120 a year
            ("business_mrr", "jpy"): pytest.approx(1000),  # 3000 in three months, without a hundredth part
            ("business_arpu", "usd"): pytest.approx(20),
            ("business_arpu", "jpy"): pytest.approx(1000),
            ("business_paying_subscriptions", "usd"): 2,
            ("business_paying_subscriptions", "jpy"): 1,
            ("business_subscriptions_cancelled_total",): 2,
            ("business_churn_ratio", "30d"): 0.5,  # of a and c, c
            ("business_trial_conversion_ratio",): 0.5,  # of b and e, b
        },
    ),
    "Payments and revenue as in Stripe": Recipe(
        [
            "insert into charges values ('a', 'anna', 'usd', 1000, 0, 'succeeded', now()),"
            " ('b', 'anna', 'usd', 2000, 500, 'succeeded', now() - interval '3 days'),"
            " ('c', 'ben', 'usd', 4000, 0, 'failed', now()),"
            " ('d', 'cleo', 'eur', 8000, 0, 'succeeded', now() - interval '40 days'),"
            " ('e', 'ben', 'usd', 100, 0, 'pending', now())",
        ],
        {
            ("business_payments_total", "succeeded"): 3,
            ("business_payments_total", "failed"): 1,
            ("business_payments_total", "refunded"): 1,
            ("business_conversions_total",): 2,
            ("business_payment_success_ratio", "1h"): 0.5,
            ("business_revenue_total", "usd"): 30,
            ("business_revenue_total", "eur"): 80,
            ("business_revenue", "usd", "1d"): 10,
            ("business_revenue", "usd", "30d"): 30,
            ("business_revenue", "eur", "1d"): 0,
            ("business_revenue", "eur", "30d"): 0,
            ("business_refunds_total", "usd"): 5,
            ("business_refunds_total", "eur"): 0,
        },
    ),
    "Feature adoption": Recipe(
        [
            "insert into feature_events values"
            " (1, 'search', now()), (1, 'search', now()), (2, 'search', now()), (2, 'export', now()),"
            " (3, 'login', now() - interval '29 days'), (4, 'export', now()),"
            " (5, 'search', now() - interval '31 days')",
            "insert into feature_events select 1, 'rare ' || i, now() from generate_series(10, 50) as i",
        ],
        {
            ("business_feature_users", "search"): 2,
            ("business_feature_users", "export"): 2,
            ("business_feature_users", "login"): 1,
            ("business_feature_adoption_ratio", "search"): 0.5,
            ("business_feature_adoption_ratio", "export"): 0.5,
            ("business_feature_adoption_ratio", "login"): 0.25,
            **{("business_feature_users", f"rare {number}"): 1 for number in range(10, 27)},
            **{("business_feature_adoption_ratio", f"rare {number}"): 0.25 for number in range(10, 27)},
        },
    ),
    "Logins whose old rows are deleted": Recipe(
        [
            "insert into login_attempts values (1, true), (2, true), (null, false)",
            "delete from login_attempts",
            "insert into login_attempts values (1, true)",
        ],
        {("auth_logins_total", "success"): 3, ("auth_logins_total", "failure"): 1},
    ),
    "Sessions": Recipe(
        [
            "insert into django_session values ('a', '', now() + interval '1 day'),"
            " ('b', '', now() - interval '1 day')"
        ],
        {("auth_sessions_active",): 1},
    ),
    "Second factors": Recipe(
        [
            "insert into accounts values (1, false), (2, false), (3, false), (4, true)",
            "insert into authenticators values (1, true), (1, true), (2, false), (4, true)",
        ],
        {("auth_mfa_enrolled_ratio",): pytest.approx(1 / 3)},
    ),
    "Audit log": Recipe(
        ["insert into audit_log (action) values ('a'), ('b'), ('c')", "delete from audit_log where id < 3"],
        {("audit_log_entries_total",): 3},
    ),
    "Feature flags": Recipe(
        [
            "insert into flags values ('new', true, 25, 4), ('old', false, null, 1)",
            "insert into flag_evaluations values"
            " ('new', 'on', '2026-01-01', 5), ('new', 'on', '2026-01-02', 6),"
            " ('new', 'off', '2026-01-02', 7)",
        ],
        {
            ("feature_flag_enabled", "new"): 1,
            ("feature_flag_enabled", "old"): 0,
            ("feature_flag_rollout_ratio", "new"): 0.25,
            ("feature_flag_rollout_ratio", "old"): 1,
            ("feature_flag_changes_total", "new"): 3,
            ("feature_flag_changes_total", "old"): 0,
            ("feature_flag_evaluations_total", "new", "on"): 11,
            ("feature_flag_evaluations_total", "new", "off"): 7,
        },
    ),
    "Accuracy of a model": Recipe(
        [
            "insert into predictions values ('m', true, true, now()), ('m', true, false, now()),"
            " ('m', false, false, now()), ('m', false, false, now()), ('m', true, null, now()),"
            " ('m', true, false, now() - interval '8 days')"
        ],
        {
            ("business_model_accuracy_ratio", "m"): 0.75,
            ("business_model_false_positive_ratio", "m"): pytest.approx(1 / 3),
            ("business_model_checked_decisions", "m"): 4,
        },
    ),
}


def sections(part: str) -> dict[str, str]:
    """The subsections of a section, by their headings."""
    text = PAGE.split(f"\n## {part}\n")[1].split("\n## ")[0]
    return {each.partition("\n")[0]: each for each in text.split("\n### ")[1:]}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_every_recipe_is_tried_here():
    """A recipe that is added to the page is added to the rows and numbers above."""
    assert list(sections("Recipes")) == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_the_right_numbers(database, tmp_path, name: str):
    """The page's own tables, filled with known rows, and its own file: every number is as counted by hand."""
    text = sections("Recipes")[name]
    (tables,), (metrics,) = blocks(text, "sql"), blocks(text, "yaml")
    path = tmp_path / "recipe.yml"
    path.write_text(metrics)
    asyncio.run(execute(database.dsn, tables, *RECIPES[name].rows, MONITOR))
    settings = collector.Settings(dsn=database.monitor_dsn, file=path)
    assert told(read_once(collector, settings)) == RECIPES[name].figures


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_the_shipped_kinds_and_labels(name: str, tmp_path):
    """A board that reads a shipped metric reads the recipe's as well; plans may be missing."""
    shipped = inventory.everything()
    path = tmp_path / "recipe.yml"
    path.write_text(blocks(sections("Recipes")[name], "yaml")[0])
    for query in collector.Settings(dsn="postgresql://db/x", file=path).queries:
        for _, metric in query.metrics:
            if metric.name in shipped:
                assert metric.kind == shipped[metric.name].kind
                assert set(metric.labels) <= set(shipped[metric.name].labels)


def test_the_other_examples_of_the_page_are_right(tmp_path):
    """Files that stand outside of the recipes can be read, and the settings are settings."""
    before = PAGE.split("\n## Recipes\n")[0]
    for number, block in enumerate(blocks(before, "yaml")):
        content = yaml.safe_load(block)
        if "collectors" in content:
            assert set(content["collectors"]["sql"]) <= set(collector.Settings.model_fields)
            continue
        path = tmp_path / f"{number}.yml"
        path.write_text(block)
        assert collector.Settings(dsn="postgresql://db/x", file=path).queries


def test_the_page_names_every_setting_and_key():
    """Settings with their defaults, the keys of a metric, and the metrics of the shipped sets."""
    own = {name: field for name, field in collector.Settings.model_fields.items() if "dsn" not in name}
    for name, field in own.items():
        default = "business" if name == "file" else f"{field.default:g}"
        assert re.search(rf"^\| `{name}` \| `?{default}`? \|", PAGE, re.MULTILINE), name
    for key in ("name", "help", "type", "query", "labels", "value", "values", "value_label"):
        assert f"`{key}`" in PAGE
    for word in collector.SHIPPED:
        assert f"| `{word}` |" in PAGE

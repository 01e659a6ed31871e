"""Business Metrics: users, revenue and the workflows that they wait for."""

from dashboards.business_accounts import AUTHENTICATION, FLAGS, SAME
from dashboards.business_jobs import SCHEDULER_AND_QUEUES, STEPS
from dashboards.colours import alerting
from dashboards.common import urgent_alerts
from dashboards.layout import cell, link, page, row, variable
from dashboards.panels import Json, alertlist, bargauge, stat, timeseries
from dashboards.queries import (
    RANGE,
    age,
    before,
    increase,
    limit,
    quantile,
    ratio,
    recorded,
    value,
    worst,
)
from dashboards.selectors import like, metric
from dashboards.tables import table
from exporter.instrument import workflows

UID = "watchkeeper-business"

FAILURES = "threshold:workflow_failures:ratio"

_workflow = like("$workflow")
_runs = increase(workflows.EXECUTIONS, "workflow", over=RANGE, workflow=_workflow)
_failed = increase(
    workflows.EXECUTIONS, "workflow", over=RANGE, workflow=_workflow, status=like("failure|timeout")
)
_failing = recorded(
    "service_workflow:workflow_failures:ratio_rate15m",
    "percentunit",
    "workflow",
    agg="max",
    workflow=_workflow,
)
_signups = increase(metric("business_signups_total"), over="1h", agg=SAME).named("sign-ups")
_revenue = metric("business_revenue_total")
_payments = metric("business_payments_total")
_subscriptions = metric("business_subscriptions")


_now = row(
    "Now",
    stat(
        "Active users, 24 h",
        value(metric("business_active_users"), agg=SAME, window="1d"),
        "Accounts that were seen in the last 24 hours.",
    ),
    stat(
        "Sign-ups",
        increase(metric("business_signups_total"), over=RANGE, agg=SAME),
        "New accounts in the shown time.",
        decimals=0,
    ),
    stat(
        "Monthly recurring revenue",
        value(metric("business_mrr"), "currency", agg=SAME),
        "What the active subscriptions bring each month, for each currency.",
    ),
    stat(
        "Revenue",
        increase(_revenue, "currency", over=RANGE, agg=SAME),
        "Payments that succeeded in the shown time, for each currency.",
    ),
    stat(
        "Workflows that fail",
        worst(_failing),
        "Share of the runs of the last 15 minutes, of the worst workflow; cancelled runs did not fail.",
        colours=alerting(FAILURES),
    ),
    urgent_alerts(),
    alertlist(family="workflow.*|queue|scheduler.*|failed_logins|availability"),
    table(
        "Workflows",
        _runs.named("Runs"),
        ratio(_failed, _runs).named("Failed"),
        quantile(0.95, workflows.DURATION, "workflow", over=RANGE, workflow=_workflow).named(
            "95th percentile"
        ),
        age(workflows.LAST_SUCCESS, "workflow", agg="min", workflow=_workflow).named("Last success"),
        note="In the shown time, the busiest on top. A name leads to this board for that workflow alone.",
        colours={"Failed": alerting(FAILURES)},
        links={"workflow": link(UID, workflow=cell("workflow"))},
        width=12,
        height=6,
    ),
)

_users = row(
    "Users and revenue",
    timeseries(
        "Active users",
        value(metric("business_active_users"), "window", agg=SAME),
        note="Accounts seen in the last day, week and month.",
    ),
    timeseries(
        "Sign-ups per hour",
        _signups,
        before(_signups, "1w", "a week ago"),
        bars=True,
        interval="1h",
        note="Each bar is the hour before it. An hour without any, at a busy time, is worth a look.",
    ),
    timeseries(
        "Revenue per hour",
        increase(_revenue, "currency", over="1h", agg=SAME),
        bars=True,
        interval="1h",
        note="Each bar is the hour before it, for each currency.",
    ),
    timeseries(
        "Payments per hour",
        increase(_payments, "status", over="1h", agg=SAME),
        bars=True,
        stacked=True,
        colours={"succeeded": "green", "failed": "red", "refunded": "yellow"},
        interval="1h",
        note="Failed payments that rise alone point to the payment provider.",
    ),
)

_flows = row(
    "Workflows",
    timeseries(
        "Runs by ending",
        increase(workflows.EXECUTIONS, "status", over="5m", workflow=_workflow),
        bars=True,
        stacked=True,
        colours={"success": "green", "failure": "red", "timeout": "orange", "cancelled": "yellow"},
        interval="5m",
        note="In five minutes.",
    ),
    timeseries(
        "Share that failed",
        _failing,
        limit(FAILURES, "WorkflowPartlyFailing"),
        note="Of the runs in 15 minutes, by workflow; cancelled runs did not fail.",
    ),
    timeseries(
        "Duration",
        quantile(0.95, workflows.DURATION, "workflow", workflow=_workflow),
        note="One run in twenty takes longer than this.",
    ),
    timeseries(
        "Running now",
        value(workflows.IN_PROGRESS, "workflow", workflow=_workflow),
        note="A count that only grows means runs that never end.",
    ),
)

_money = row(
    "Subscriptions, features and payments",
    bargauge(
        "Subscriptions by plan",
        value(_subscriptions, "plan", "status", agg=SAME),
    ),
    timeseries(
        "Cancellations per day",
        increase(metric("business_subscriptions_cancelled_total"), over="1d", agg=SAME).named("cancelled"),
        note="In the 24 hours before each point.",
    ),
    timeseries(
        "Paying subscriptions",
        value(metric("business_paying_subscriptions"), "currency", agg=SAME),
        note="Active subscriptions with a price above 0, for each currency.",
    ),
    timeseries(
        "Revenue for each paying subscription",
        value(metric("business_arpu"), "currency", agg=SAME),
        note="Monthly, for each currency. It falls when the cheap plan wins.",
    ),
    timeseries(
        "Share that left",
        value(metric("business_churn_ratio"), "window", agg=SAME),
        note="Churn: of the paying subscriptions at the window's begin.",
    ),
    timeseries(
        "Payments that succeed",
        value(metric("business_payment_success_ratio"), "window", agg=SAME),
        top=1,
        note="A fall for all customers at once points to the payment provider.",
    ),
    bargauge(
        "Revenue by window",
        value(metric("business_revenue"), "currency", "window", agg=SAME),
        note="Money that came in within the last day, week and month, for each currency.",
    ),
    bargauge(
        "Features in use",
        value(metric("business_feature_adoption_ratio"), "feature", agg=SAME),
        note="Share of the month's active accounts that used the feature.",
        top=1,
    ),
    timeseries(
        "Users of features",
        value(metric("business_feature_users"), "feature", agg=SAME),
        note="Accounts within the last 30 days.",
    ),
    timeseries(
        "First payments per day",
        increase(metric("business_conversions_total"), over="1d", agg=SAME).named("first payments"),
        note="Accounts that paid for the first time, in the 24 hours before each point.",
    ),
    collapsed=True,
)


def board() -> Json:
    """Return the board."""
    return page(
        UID,
        "Business Metrics",
        _now,
        _users,
        _flows,
        STEPS,
        SCHEDULER_AND_QUEUES,
        _money,
        AUTHENTICATION,
        FLAGS,
        description="Users, revenue, workflows, jobs, logins and feature flags.",
        variables=[
            variable("workflow", workflows.EXECUTIONS),
            variable("flag", metric("feature_flag_enabled")),
        ],
        since="now-24h",
        refresh="1m",
    )

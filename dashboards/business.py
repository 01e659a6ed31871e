"""Business Metrics: users, revenue and the workflows that they wait for."""

from typing import Final

from dashboards.colours import falling, rising
from dashboards.common import urgent_alerts
from dashboards.layout import cell, link, page, row, variable
from dashboards.panels import Json, alertlist, bargauge, stat, timeseries
from dashboards.queries import (
    RANGE,
    age,
    increase,
    quantile,
    ratio,
    recorded,
    rest,
    value,
    worst,
)
from dashboards.selectors import like, metric
from dashboards.tables import table
from exporter.instrument import workflows

UID = "watchkeeper-business"

# Every exporter that reads the database shows the same figure: the greatest, never the sum.
SAME: Final = "max"
HEALTHY = falling(0.95, 0.99)

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
        "Workflows that succeed",
        rest(worst(_failing)),
        "Share of the runs of the last 15 minutes, of the worst workflow; cancelled runs did not fail.",
        colours=HEALTHY,
    ),
    urgent_alerts(),
    alertlist(family="workflow.*|business.*|availability"),
    table(
        "Workflows",
        _runs.named("Runs"),
        ratio(_failed, _runs).named("Failed"),
        quantile(0.95, workflows.DURATION, "workflow", over=RANGE, workflow=_workflow).named(
            "95th percentile"
        ),
        age(workflows.LAST_SUCCESS, "workflow", agg="min", workflow=_workflow).named("Last success"),
        note="In the shown time, the busiest on top. A name leads to this board for that workflow alone.",
        colours={"Failed": rising(0.01, 0.05)},
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
        increase(metric("business_signups_total"), over="1h", agg=SAME).named("sign-ups"),
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

_more = row(
    "Workflow steps and subscriptions",
    timeseries(
        "Oldest run",
        value(workflows.OLDEST, "workflow", agg="max", workflow=_workflow),
        note="Far beyond the usual duration, the run is stuck.",
    ),
    timeseries(
        "Duration of steps",
        quantile(0.95, workflows.STEP_DURATION, "workflow", "step", workflow=_workflow),
        note="The step that got slower explains the workflow that did.",
    ),
    bargauge(
        "Subscriptions by plan",
        value(_subscriptions, "plan", "status", agg=SAME),
        width=12,
    ),
    timeseries(
        "Cancellations per day",
        increase(metric("business_subscriptions_cancelled_total"), over="1d", agg=SAME).named("cancelled"),
        note="In the 24 hours before each point.",
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
        _more,
        description="Users, subscriptions, revenue and workflows.",
        variables=[variable("workflow", workflows.EXECUTIONS)],
        since="now-24h",
        refresh="1m",
    )

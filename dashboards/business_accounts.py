"""Rows of the business board: who gets in, and what is switched on for whom."""

from typing import Final

from dashboards.colours import Step, rising
from dashboards.layout import cell, link, row
from dashboards.panels import stat, timeseries
from dashboards.queries import RANGE, before, increase, limit, ratio, recorded, scaled, value, worst
from dashboards.selectors import like, metric
from dashboards.tables import table

# Every exporter that reads the database shows the same figure: the greatest, never the sum.
SAME: Final = "max"

_logins = metric("auth_logins_total")
_evaluations = metric("feature_flag_evaluations_total")
_changes = metric("feature_flag_changes_total")
_flag = like("$flag")
_all_logins = worst(increase(_logins, "result", over=RANGE, agg=SAME), agg="sum")
_failing_logins = increase(_logins, over="1h", agg=SAME, result="failure").named("failed now")

AUTHENTICATION = row(
    "Authentication",
    stat(
        "Logins that fail",
        ratio(increase(_logins, over=RANGE, agg=SAME, result="failure"), _all_logins),
        "Share of the logins in the shown time. A jump is an attack, or a release that broke the login.",
        colours=rising(0.2, 0.5),
        width=6,
    ),
    stat(
        "Open sessions",
        value(metric("auth_sessions_active"), agg=SAME),
        "A sudden fall to few has thrown people out.",
        width=6,
    ),
    stat(
        "Accounts with a second factor",
        value(metric("auth_mfa_enrolled_ratio"), agg=SAME),
        width=6,
    ),
    stat(
        "Entries in the audit log",
        increase(metric("audit_log_entries_total"), over=RANGE, agg=SAME),
        "In the shown time. None at all while people work means that it is not written.",
        decimals=0,
        width=6,
    ),
    timeseries(
        "Logins per hour",
        increase(_logins, "result", over="1h", agg=SAME),
        bars=True,
        stacked=True,
        colours={"success": "green", "failure": "red"},
        interval="1h",
        note="Each bar is the hour before it. No successes at a busy time: nobody gets in.",
    ),
    timeseries(
        "Failed logins per minute",
        recorded("service:failed_logins:rate1m", "suffix: /min", "service", agg="max"),
        limit("threshold:failed_logins:rate1m", "FailedLoginsMany"),
        note="Mean of five minutes. The dashed line is where an attack is suspected.",
    ),
    timeseries(
        "Failed logins against last week",
        _failing_logins,
        before(_failing_logins, "1w", "a week ago"),
        interval="15m",
        note="In the hour before each point.",
    ),
    collapsed=True,
)

FLAGS = row(
    "Feature flags",
    table(
        "Flags",
        value(metric("feature_flag_enabled"), "flag", agg=SAME, flag=_flag).named("On"),
        value(metric("feature_flag_rollout_ratio"), "flag", agg=SAME, flag=_flag).named("Meant for"),
        increase(_changes, "flag", over=RANGE, agg=SAME, flag=_flag).named("Changes"),
        note="'Meant for' is the share of accounts, 'Changes' are those of the shown time. A flag's name "
        "leads to this board for it alone.",
        colours={"On": (Step(None, "text"), Step(1, "green"))},
        links={"flag": link("watchkeeper-business", flag=cell("flag"))},
        width=12,
    ),
    timeseries(
        "Changes of flags",
        increase(_changes, "flag", over="5m", agg=SAME, flag=_flag),
        bars=True,
        interval="5m",
        note="In five minutes. Look here first when numbers change without a release.",
    ),
    timeseries(
        "Questions by variant",
        scaled(
            # The application or the database may count them; one of the two is there.
            increase(_evaluations, "flag", "variant", over="5m", agg=SAME, flag=_flag),
            0.2,
            "suffix: /min",
        ),
        stacked=True,
        interval="5m",
        note="How often the application asks per minute, by the answer. A flag that nobody asks for can go.",
    ),
    timeseries(
        "Accounts that flags are meant for",
        value(metric("feature_flag_rollout_ratio"), "flag", agg=SAME, flag=_flag),
        top=1,
        note="Compare a step here with errors and waiting times at the same moment.",
    ),
    collapsed=True,
)

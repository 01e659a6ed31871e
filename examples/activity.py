"""The demo's past beside users and payments: logins, second factors, features, flags and fraud checks."""

import random
from datetime import datetime, timedelta
from typing import Any

from examples.shop.billing import FRAUD_MODEL, WRONG
from examples.shop.flags import DARK_MODE, NEW_CHECKOUT

Row = tuple[Any, ...]

# In the order in which they can be filled. What is left out, Postgres numbers itself.
COLUMNS = {
    "feature_flags": ("name", "enabled", "rollout_percent", "changed_at"),
    "feature_flag_changes": ("flag", "enabled", "rollout_percent", "created_at"),
    "feature_flag_evaluations": ("flag", "variant", "evaluations"),
    "fraud_checks": ("payment_id", "model", "flagged", "fraudulent", "created_at"),
    "feature_uses": ("feature", "user_id", "last_used_at"),
    "logins": ("user_id", "result", "created_at"),
    "mfa_devices": ("user_id", "confirmed_at"),
    "audit_log": ("user_id", "action", "created_at"),
}


def activity(now: datetime, users: list[Row], payments: list[Row], seed: int = 1) -> dict[str, list[Row]]:
    """Return rows by table, for rows of users and payments with the columns of `seed.COLUMNS`."""
    chance = random.Random(seed)
    rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    _flags(rows, now)
    for user_id, _, created, last_seen in users:
        _user(rows, chance, user_id, created, last_seen)
    for payment_id, _, _, status, at in payments:
        fraudulent = status == "failed"
        flagged = fraudulent != (chance.random() < WRONG)
        rows["fraud_checks"].append((payment_id, FRAUD_MODEL, flagged, fraudulent, at))
    return rows


def _flags(rows: dict[str, list[Row]], now: datetime) -> None:
    steps = [(now - timedelta(days=3 - step), 10 * step) for step in (1, 2)]
    rows["feature_flags"] += [(NEW_CHECKOUT, True, steps[-1][1], now), (DARK_MODE, True, 50, now)]
    rows["feature_flag_changes"] += [(NEW_CHECKOUT, True, percent, at) for at, percent in steps]
    rows["feature_flag_evaluations"] += [(NEW_CHECKOUT, "on", 40), (NEW_CHECKOUT, "off", 310)]
    rows["feature_flag_evaluations"] += [(DARK_MODE, "on", 1_200), (DARK_MODE, "off", 1_240)]


def _user(
    rows: dict[str, list[Row]], chance: random.Random, user_id: int, created: datetime, last_seen: datetime
) -> None:
    for _ in range(chance.randint(1, 4)):
        at = created + (last_seen - created) * chance.random()
        result = "failure" if chance.random() < 0.06 else "success"
        rows["logins"].append((user_id, result, at))
        if result == "success":
            rows["audit_log"].append((user_id, "login", at))
    if chance.random() < 0.3:
        rows["mfa_devices"].append((user_id, last_seen))
        rows["audit_log"].append((user_id, "mfa_enrolled", last_seen))
    for feature, share in (("summaries", 0.4), ("paid_plans", 0.3)):
        if chance.random() < share:
            rows["feature_uses"].append((feature, user_id, last_seen))

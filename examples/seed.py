"""The demo's past: ninety days of sign-ups, subscriptions, payments and cancellations."""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from examples import activity
from examples.shop.billing import MONTHLY_CENTS, Plan
from examples.shop.database import Pool

_SCHEMA = Path(__file__).with_name("schema.sql")
_LOCK = 20_261_121  # any number: two workers must not seed at once
_LOCK_SECONDS = 60.0  # the first worker seeds in one, on a very busy machine in many
_DAYS = 90
_USERS = 600
_PRODUCTS = 24
DAMAGED_PRODUCT = 13  # its details are no JSON; reading it is the demo's rare 500

Row = tuple[Any, ...]


@dataclass
class History:
    """Rows by table, in the order of `COLUMNS`."""

    users: list[Row] = field(default_factory=list)
    subscriptions: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    products: list[Row] = field(default_factory=list)


COLUMNS = {
    "users": ("id", "email", "created_at", "last_seen_at"),
    "subscriptions": (
        "id",
        "user_id",
        "plan",
        "status",
        "monthly_price_cents",
        "started_at",
        "cancelled_at",
    ),
    "payments": ("id", "user_id", "amount_cents", "status", "created_at"),
    "products": ("id", "name", "details"),
}


def history(now: datetime, seed: int = 1) -> History:
    """Return the demo's past before `now`; the same `now` and `seed` give the same rows."""
    chance = random.Random(seed)
    past = History()
    # The square root makes later days busier: a service that grows. Sorted, so that ids follow time.
    ages = sorted((_DAYS * (1 - chance.random() ** 0.5) for _ in range(_USERS)), reverse=True)
    for user_id, age in enumerate(ages, start=1):
        _add_user(past, chance, now, user_id, now - timedelta(days=age))
    for product_id in range(1, _PRODUCTS + 1):
        details = json.dumps(
            {"description": f"Template number {product_id}", "price_cents": 500 * product_id}
        )
        if product_id == DAMAGED_PRODUCT:
            details = details[:-1]
        past.products.append((product_id, f"Template {product_id}", details))
    return past


def _add_user(past: History, chance: random.Random, now: datetime, user_id: int, created: datetime) -> None:
    plan: Plan = chance.choices(("free", "pro", "team"), (60, 30, 10))[0]
    ends = created + timedelta(days=chance.expovariate(1 / 200)) if plan != "free" else now
    cancelled = ends if ends < now else None
    idle = timedelta(days=min(chance.expovariate(1 / 6), _DAYS))
    last_seen = max(created, (cancelled or now) - idle)
    past.users.append((user_id, f"user{user_id}@example.com", created, last_seen))
    past.subscriptions.append(
        (
            len(past.subscriptions) + 1,
            user_id,
            plan,
            "cancelled" if cancelled else "active",
            MONTHLY_CENTS[plan],
            created,
            cancelled,
        )
    )
    due = created
    while plan != "free" and due < (cancelled or now):
        status = chance.choices(("succeeded", "failed", "refunded"), (95, 4, 1))[0]
        past.payments.append((len(past.payments) + 1, user_id, MONTHLY_CENTS[plan], status, due))
        due += timedelta(days=30)


async def prepare(pool: Pool) -> bool:
    """Create what is missing of the schema; fill an empty database with the past and return True.

    Every worker calls it as it starts: the first one works, the others wait for it and find all done.
    """
    schema = _SCHEMA.read_text(encoding="utf-8")
    version = f"schema {sha256(schema.encode()).hexdigest()}"
    async with pool.acquire() as lent, lent.transaction():
        await lent.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_LOCK_SECONDS)
        # Asked first, because even CREATE INDEX IF NOT EXISTS locks its table: a worker that is replaced
        # under load could end in a deadlock with a checkout.
        if await lent.fetchval("SELECT obj_description(to_regclass('users'), 'pg_class')") != version:
            await lent.execute(schema)
            await lent.execute(f"COMMENT ON TABLE users IS '{version}'")
        if await lent.fetchval("SELECT EXISTS (SELECT FROM users)"):
            return False
        now = datetime.now(UTC)
        past = history(now)
        for table, columns in COLUMNS.items():
            await lent.copy_records_to_table(table, records=getattr(past, table), columns=columns)
        for table, rows in activity.activity(now, past.users, past.payments).items():
            await lent.copy_records_to_table(table, records=rows, columns=activity.COLUMNS[table])
        for table in ("users", "subscriptions", "payments"):
            newest = getattr(past, table)[-1][0]
            await lent.execute("SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", table, newest)
        # Old payments have their invoices; the job begins with the newest.
        await lent.execute(
            "INSERT INTO invoices (payment_id, body, sent_at) SELECT id, 'sent long ago', created_at"
            " FROM payments WHERE status = 'succeeded' AND created_at < now() - interval '1 day'"
        )
    return True

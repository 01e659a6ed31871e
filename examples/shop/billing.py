"""Subscriptions and payments with their fraud checks: what the business figures are made of."""

from collections.abc import Callable
from typing import Literal

from examples.shop.database import Connection, Pool, connection
from examples.shop.flags import NEW_CHECKOUT, variant

Plan = Literal["free", "pro", "team"]
MONTHLY_CENTS: dict[Plan, int] = {"free": 0, "pro": 2_900, "team": 9_900}
FRAUD_MODEL = "card-rules-2"
WRONG = 0.08  # share of the payments that the demo's fraud model is wrong about


class Billing:
    """Writes of the subscription and payment tables."""

    def __init__(self, pool: Pool, judged: Callable[[str], None]) -> None:
        self._pool = pool
        self._judged = judged  # told how the fraud model did: tp, fp, tn or fn

    async def check_out(self, user_id: int, plan: Plan, *, card_works: bool) -> bool:
        """Move a user to a plan and take its first payment; False when the card is declined."""
        cents = MONTHLY_CENTS[plan]
        async with connection(self._pool) as lent, lent.transaction():
            await variant(lent, NEW_CHECKOUT, user_id)
            await lent.execute("INSERT INTO audit_log (user_id, action) VALUES ($1, 'checkout')", user_id)
            if cents:
                self._judged(await _take(lent, user_id, cents, card_works=card_works))
            if cents and not card_works:
                return False
            await lent.execute(
                "INSERT INTO subscriptions (user_id, plan, monthly_price_cents) VALUES ($1, $2, $3)"
                " ON CONFLICT (user_id) WHERE status = 'active'"
                " DO UPDATE SET plan = excluded.plan, monthly_price_cents = excluded.monthly_price_cents",
                user_id,
                plan,
                cents,
            )
            await lent.execute(
                "INSERT INTO feature_uses (feature, user_id) VALUES ('paid_plans', $1)"
                " ON CONFLICT (feature, user_id) DO UPDATE SET last_used_at = now()",
                user_id,
            )
        return True

    async def cancel(self, user_id: int) -> bool:
        """Cancel a user's active subscription; False when there is none."""
        async with connection(self._pool) as lent:
            cancelled = await lent.fetchval(
                "UPDATE subscriptions SET status = 'cancelled', cancelled_at = now()"
                " WHERE user_id = $1 AND status = 'active' RETURNING id",
                user_id,
            )
        return cancelled is not None


async def _take(lent: Connection, user_id: int, cents: int, *, card_works: bool) -> str:
    """Book a payment, and return how the fraud model judged it; in the demo a declined card was stolen."""
    payment_id = await lent.fetchval(
        "INSERT INTO payments (user_id, amount_cents, status) VALUES ($1, $2, $3) RETURNING id",
        user_id,
        cents,
        "succeeded" if card_works else "failed",
    )
    flagged = await lent.fetchval(
        "INSERT INTO fraud_checks (payment_id, model, flagged, fraudulent)"
        " VALUES ($1, $2, $3 <> (random() < $4), $3) RETURNING flagged",
        payment_id,
        FRAUD_MODEL,
        not card_works,
        WRONG,
    )
    return ("t" if flagged is not card_works else "f") + ("p" if flagged else "n")

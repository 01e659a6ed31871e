"""Subscriptions and payments: what the business figures are made of."""

from typing import Literal

from examples.shop.database import Pool, connection

Plan = Literal["free", "pro", "team"]
MONTHLY_CENTS: dict[Plan, int] = {"free": 0, "pro": 2_900, "team": 9_900}


class Billing:
    """Writes of the subscription and payment tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def check_out(self, user_id: int, plan: Plan, *, card_works: bool) -> bool:
        """Move a user to a plan and take its first payment; False when the card is declined."""
        cents = MONTHLY_CENTS[plan]
        async with connection(self._pool) as lent, lent.transaction():
            if cents:
                await lent.execute(
                    "INSERT INTO payments (user_id, amount_cents, status) VALUES ($1, $2, $3)",
                    user_id,
                    cents,
                    "succeeded" if card_works else "failed",
                )
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

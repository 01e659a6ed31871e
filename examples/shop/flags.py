"""Feature flags: who gets what, counted by variant, and a roll-out that goes on by itself."""

from datetime import timedelta

from examples.shop.database import Connection, Pool, connection

NEW_CHECKOUT = "new_checkout"
DARK_MODE = "dark_mode"

# A flag that is not there is off and not counted.
_EVALUATE = """
    INSERT INTO feature_flag_evaluations (flag, variant, evaluations)
    SELECT name, CASE WHEN enabled AND abs(hashint8($2) % 100) < rollout_percent THEN 'on' ELSE 'off' END, 1
    FROM feature_flags WHERE name = $1
    ON CONFLICT (flag, variant) DO UPDATE SET evaluations = feature_flag_evaluations.evaluations + 1
    RETURNING variant
"""
_ADVANCE = """
    WITH advanced AS (
        UPDATE feature_flags
        SET changed_at = now(),
            rollout_percent = CASE WHEN rollout_percent > 90 THEN 10 ELSE rollout_percent + 10 END
        WHERE name = $1 AND changed_at <= now() - $2::interval
        RETURNING name, enabled, rollout_percent
    ), noted AS (
        INSERT INTO audit_log (action) SELECT 'flag_changed' FROM advanced
    )
    INSERT INTO feature_flag_changes (flag, enabled, rollout_percent) SELECT * FROM advanced
    RETURNING rollout_percent
"""


async def variant(lent: Connection, flag: str, user_id: int) -> str:
    """Return `on` or `off` for this user, always the same one at the same roll-out, and count it."""
    return await lent.fetchval(_EVALUATE, flag, user_id) or "off"


class Flags:
    """The flags as their owner sees them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def advance(self, seconds: float) -> int | None:
        """Roll the new checkout out to ten more percent; None when the last step is not `seconds` ago.

        Every worker asks, and Postgres lets one of them do it.
        """
        async with connection(self._pool) as lent:
            percent: int | None = await lent.fetchval(_ADVANCE, NEW_CHECKOUT, timedelta(seconds=seconds))
        return percent

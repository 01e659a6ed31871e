"""Accounts and their sessions: sign-up, login, second factor, and who a session belongs to."""

import secrets
from typing import Any

import asyncpg

from examples.shop.cache import Cache
from examples.shop.database import Connection, Pool, connection
from examples.shop.flags import DARK_MODE, variant


class Accounts:
    """Users and sessions in Postgres; sessions are read through a cache."""

    def __init__(self, pool: Pool, sessions: Cache) -> None:
        self._pool = pool
        self._sessions = sessions

    async def sign_up(self, email: str) -> dict[str, Any] | None:
        """Create an account on the free plan and open a session; None when the address is taken."""
        try:
            async with connection(self._pool) as lent, lent.transaction():
                user_id = await lent.fetchval("INSERT INTO users (email) VALUES ($1) RETURNING id", email)
                await lent.execute(
                    "INSERT INTO subscriptions (user_id, plan, monthly_price_cents) VALUES ($1, 'free', 0)",
                    user_id,
                )
                return await _open_session(lent, user_id)
        except asyncpg.UniqueViolationError:
            return None

    async def log_in(self, email: str) -> dict[str, Any] | None:
        """Open a session for an existing account; None when there is none. Either is noted."""
        async with connection(self._pool) as lent:
            user_id = await lent.fetchval(
                "UPDATE users SET last_seen_at = now() WHERE email = $1 RETURNING id", email
            )
            await lent.execute(
                "INSERT INTO logins (user_id, result) VALUES ($1, $2)",
                user_id,
                "success" if user_id else "failure",
            )
            if user_id is None:
                return None
            await _note(lent, user_id, "login")
            return await _open_session(lent, user_id)

    async def user_of(self, token: str) -> int | None:
        """Return the user id that a session token belongs to, or None."""

        async def load() -> int | None:
            async with connection(self._pool) as lent:
                found: int | None = await lent.fetchval(
                    "SELECT user_id FROM sessions WHERE token = $1 AND created_at > now() - interval '1 day'",
                    token,
                )
            return found

        user_id: int | None = await self._sessions.get(f"session:{token}", load)
        return user_id

    async def account(self, user_id: int) -> dict[str, Any]:
        """Return an account with its active subscription, and note that its owner was here."""
        async with connection(self._pool) as lent:
            await variant(lent, DARK_MODE, user_id)
            row = await lent.fetchrow(
                "WITH seen AS (UPDATE users SET last_seen_at = now() WHERE id = $1 RETURNING id, email)"
                " SELECT seen.id, seen.email, plan, currency, monthly_price_cents FROM seen"
                " LEFT JOIN subscriptions ON user_id = seen.id AND status = 'active'",
                user_id,
            )
        return dict(row or {})

    async def enrol(self, user_id: int) -> None:
        """Keep that the account has a second factor; the demo believes its visitors."""
        async with connection(self._pool) as lent:
            await lent.execute(
                "INSERT INTO mfa_devices (user_id) VALUES ($1) ON CONFLICT DO NOTHING", user_id
            )
            await _note(lent, user_id, "mfa_enrolled")

    async def used(self, feature: str, user_id: int) -> None:
        """Note that the account's owner has used a feature."""
        async with connection(self._pool) as lent:
            await lent.execute(
                "INSERT INTO feature_uses (feature, user_id) VALUES ($1, $2)"
                " ON CONFLICT (feature, user_id) DO UPDATE SET last_used_at = now()",
                feature,
                user_id,
            )


async def _note(lent: Connection, user_id: int, action: str) -> None:
    await lent.execute("INSERT INTO audit_log (user_id, action) VALUES ($1, $2)", user_id, action)


async def _open_session(lent: Connection, user_id: int) -> dict[str, Any]:
    token = secrets.token_hex(16)
    await lent.execute("INSERT INTO sessions (token, user_id) VALUES ($1, $2)", token, user_id)
    return {"user_id": user_id, "session": token}

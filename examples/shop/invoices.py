"""The invoice job: who runs it next, and its steps: fetch payments without an invoice, render, send."""

from datetime import timedelta
from typing import Any

from examples.shop.database import Pool, connection

_BATCH = 50  # an invoice run stays short, the rest waits for the next one
_HANGS_UP_EVERY = 7  # runs; the third is the first, so that a short demo has one too


class MailError(Exception):
    """The mail service ended the conversation; the next run tries again."""


class Invoices:
    """Invoices for succeeded payments."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, seconds: float) -> int | None:
        """Take the next run and return its number; None when a run has begun less than `seconds` ago.

        Every worker asks, and Postgres lets one of them have it: no run happens four times, and none waits
        for a worker that was killed.
        """
        async with connection(self._pool) as lent:
            run: int | None = await lent.fetchval(
                "INSERT INTO jobs (name) VALUES ('invoice_sync') ON CONFLICT (name)"
                " DO UPDATE SET runs = jobs.runs + 1, began_at = now()"
                " WHERE jobs.began_at <= now() - $1::interval RETURNING runs",
                timedelta(seconds=seconds),
            )
        return run

    async def fetch(self) -> list[dict[str, Any]]:
        """Return payments that have no invoice yet, oldest first."""
        async with connection(self._pool) as lent:
            rows = await lent.fetch(
                "SELECT payments.id, email, amount_cents, currency FROM payments"
                " JOIN users ON users.id = user_id LEFT JOIN invoices ON payment_id = payments.id"
                " WHERE status = 'succeeded' AND payment_id IS NULL ORDER BY payments.id LIMIT $1",
                _BATCH,
            )
        return [dict(row) for row in rows]

    @staticmethod
    def render(payments: list[dict[str, Any]]) -> list[tuple[int, str]]:
        """Return payment id and text of each invoice."""
        text = "To {email}: {amount:.2f} {currency} received with thanks."
        return [(paid["id"], text.format(amount=paid["amount_cents"] / 100, **paid)) for paid in payments]

    async def send(self, invoices: list[tuple[int, str]], run: int) -> None:
        """Keep the invoices as sent. Raises MailError in some runs, as mail services do."""
        if run % _HANGS_UP_EVERY == 3:
            raise MailError("the mail service hung up")
        async with connection(self._pool) as lent:
            await lent.executemany(
                "INSERT INTO invoices (payment_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING", invoices
            )

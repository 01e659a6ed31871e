"""The products: what visitors read most, so Redis answers for most of it."""

import json
from typing import Any

from examples.shop.cache import Cache
from examples.shop.database import Pool, connection


class Catalogue:
    """Reads of the product table through a cache."""

    def __init__(self, pool: Pool, cache: Cache) -> None:
        self._pool = pool
        self._cache = cache

    async def all(self) -> list[dict[str, Any]]:
        """Return id and name of every product."""

        async def load() -> list[dict[str, Any]]:
            async with connection(self._pool) as lent:
                rows = await lent.fetch("SELECT id, name FROM products ORDER BY id")
            return [dict(row) for row in rows]

        products: list[dict[str, Any]] = await self._cache.get("products", load)
        return products

    async def one(self, product_id: int) -> dict[str, Any] | None:
        """Return a product with its details, or None.

        Raises JSONDecodeError for a product whose details are damaged: a bug as real ones are, left in so
        that a running demo has its rare 500.
        """

        async def load() -> dict[str, Any] | None:
            async with connection(self._pool) as lent:
                row = await lent.fetchrow("SELECT id, name, details FROM products WHERE id = $1", product_id)
            if row is None:
                return None
            return {"id": row["id"], "name": row["name"], **json.loads(row["details"])}

        product: dict[str, Any] | None = await self._cache.get(f"product:{product_id}", load)
        return product

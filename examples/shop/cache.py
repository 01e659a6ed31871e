"""Redis in front of a slower read; without Redis every read is a miss and the shop goes on."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_log = logging.getLogger("examples.cache")
_ANSWER_SECONDS = 0.2  # later than this, asking Postgres is faster
_REST_SECONDS = 1.0  # a Redis that failed is left alone so long


class Counts(Protocol):
    """What `obs.cache(name)` returns: it counts the hits and the misses."""

    def hit(self) -> None: ...
    def miss(self) -> None: ...


def open_redis(url: str) -> Redis:
    """Return a client that gives up quickly; it connects when first used."""
    return Redis.from_url(
        url,
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Cache:
    """Values of one kind, kept as JSON for `seconds`."""

    def __init__(
        self, redis: Redis, counts: Counts, seconds: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._counts = counts
        self._seconds = seconds
        self._clock = clock
        self._rest_until = 0.0

    async def get(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """Return the value of `key`, from Redis or else by `load()`; None is not kept."""
        kept = await self._ask("GET", key)
        if kept is not None:
            self._counts.hit()
            return json.loads(kept)
        self._counts.miss()
        value = await load()
        if value is not None:
            await self._ask("SET", key, json.dumps(value), "EX", self._seconds)
        return value

    async def _ask(self, *command: str | int) -> Any:
        if self._clock() < self._rest_until:
            return None
        try:
            return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            self._rest_until = self._clock() + _REST_SECONDS
            _log.warning("Redis does not answer, going on without: %s", type(error).__name__)
            return None

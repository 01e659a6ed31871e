"""arq: a sorted set of job ids by the time when each is due, which they stay in until they are done."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from exporter.instrument._guard import guarded
from exporter.instrument.queues import Look, waited
from exporter.instrument.queues._redis import connect_like
from exporter.store import Store

_IN_PROGRESS = b"arq:in-progress:"
_DEFAULT = "arq:queue"
# Which of the due jobs are with a worker is known job by job; beyond so many it does not matter.
_MOST = 1000


class ArqSource:
    """The queues of one Redis: `names`, or the pool's own."""

    backend = "arq"

    def __init__(self, pool: Any, names: tuple[str, ...]) -> None:
        self._names = names or (getattr(pool, "default_queue_name", _DEFAULT),)
        self._client = connect_like(pool)

    def look(self) -> Mapping[str, Look]:
        """Read every queue in two round trips."""
        return {name: self._look(name) for name in self._names}

    def stop(self) -> None:
        """Close the connection of ours."""
        self._client.close()

    def _look(self, name: str) -> Look:
        now = time.time() * 1000
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zcount(name, "-inf", now)
            pipe.zcount(name, f"({now}", "+inf")
            pipe.zrange(name, 0, _MOST - 1, withscores=True)
            due, delayed, first = pipe.execute()
        heads = [(job, score) for job, score in first if score <= now]
        if not heads:
            return Look({"ready": 0, "delayed": delayed, "in_flight": 0})
        with self._client.pipeline(transaction=False) as pipe:
            for job, _ in heads:
                pipe.exists(_IN_PROGRESS + job)
            taken = pipe.execute()
        waiting = [score for (_, score), there in zip(heads, taken, strict=True) if not there]
        depth = {"ready": due - sum(taken), "delayed": delayed, "in_flight": sum(taken)}
        return Look(depth, waiting[0] / 1000 if waiting else None)


def watch_worker(store: Store, worker: Any) -> Callable[[], None]:
    """Time the waits of a worker, or of a settings class that arq makes workers from."""
    before = getattr(worker, "on_job_start", None)
    queue = getattr(worker, "queue_name", None) or _DEFAULT

    async def on_job_start(ctx: dict[str, Any]) -> None:
        with guarded(store, "queue"):
            # A retry is due when its turn comes again, not when the job was first sent.
            waited(store, queue, max(ctx["enqueue_time"].timestamp(), ctx["score"] / 1000))
        if before is not None:
            await before(ctx)

    def stop() -> None:
        worker.on_job_start = before

    worker.on_job_start = staticmethod(on_job_start) if isinstance(worker, type) else on_job_start
    return stop

"""RQ: a list of job ids a queue, and sorted sets for those that are planned, running or have failed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from exporter.instrument._guard import guarded
from exporter.instrument.queues import Look, waited
from exporter.store import Store


class RQSource:
    """One queue, read through its own connection."""

    backend = "rq"

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def look(self) -> Mapping[str, Look]:
        """Read the queue in two round trips."""
        queue = self._queue
        with queue.connection.pipeline(transaction=False) as pipe:
            pipe.llen(queue.key)
            pipe.zcard(queue.scheduled_job_registry.key)
            pipe.zcard(queue.deferred_job_registry.key)
            pipe.zcard(queue.started_job_registry.key)
            pipe.zcard(queue.failed_job_registry.key)
            pipe.lindex(queue.key, 0)
            ready, planned, deferred, running, dead, head = pipe.execute()
        depth = {"ready": ready, "delayed": planned + deferred, "in_flight": running, "dead": dead}
        return {queue.name: Look(depth, self._since(head))}

    def stop(self) -> None:
        """Nothing was changed."""

    def _since(self, job: bytes | str | None) -> float | None:
        if job is None:
            return None
        name = job.decode() if isinstance(job, bytes) else job
        when = self._queue.connection.hget(self._queue.job_class.key_for(name), "enqueued_at")
        text = when.decode() if isinstance(when, bytes) else when
        return datetime.fromisoformat(text).timestamp() if text else None


def watch_worker(store: Store, worker: Any) -> Callable[[], None]:
    """Time the waits of a worker, in the process that hands jobs to a child for each."""
    execute = worker.execute_job

    def timed(job: Any, queue: Any) -> Any:
        with guarded(store, "queue"):
            if job.enqueued_at is not None:
                waited(store, queue.name, job.enqueued_at.timestamp())
        return execute(job, queue)

    def stop() -> None:
        worker.__dict__.pop("execute_job", None)

    worker.execute_job = timed
    return stop

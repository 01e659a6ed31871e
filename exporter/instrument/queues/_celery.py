"""Celery on Redis: a list for each queue and priority; our header says when a message is due, theirs none."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exporter.instrument._guard import guarded
from exporter.instrument.queues import Look, waited
from exporter.store import Store

# Added to the headers of each message: when it is due, as Unix time.
_DUE = "watchkeeper_due"
_PRIORITIES = (0, 3, 6, 9)  # kombu's own default
_MOST = 1000


class CelerySource:
    """The queues of an application: `names`, or those of its settings."""

    backend = "celery"

    def __init__(self, store: Store, app: Any, names: tuple[str, ...]) -> None:
        import redis
        from celery import signals

        url = app.connection_for_read().as_uri(include_password=True)
        if not url.startswith(("redis://", "rediss://")):
            raise TypeError(f"watch_queue() reads Celery's queues in Redis, not at {url.split(':')[0]}://")
        self._client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        configured = [queue.name for queue in app.conf.task_queues or ()]
        self._names = names or tuple(configured) or (app.conf.task_default_queue,)
        options = app.conf.broker_transport_options or {}
        steps, between = options.get("priority_steps", _PRIORITIES), options.get("sep", "\x06\x16")
        self._prefix = options.get("global_keyprefix", "")
        self._unacked = self._prefix + options.get("unacked_key", "unacked")
        # The list of the first priority has the queue's plain name.
        self._suffixes = ["" if not step else f"{between}{step}" for step in steps]
        self._store, self._signals = store, signals
        signals.before_task_publish.connect(self._sent)
        signals.task_prerun.connect(self._begun)

    def look(self) -> Mapping[str, Look]:
        """Read all queues in two round trips. What a worker holds back (eta) is in flight for Redis."""
        with self._client.pipeline(transaction=False) as pipe:
            for name in self._names:
                for suffix in self._suffixes:
                    pipe.llen(self._prefix + name + suffix)
                    pipe.lindex(self._prefix + name + suffix, -1)
            pipe.hlen(self._unacked)
            *answers, count = pipe.execute()
        # Which queue they are from stands in the messages, and those of a large prefetch are many bytes.
        messages = self._client.hvals(self._unacked) if 0 < count <= _MOST else []
        taken = [_queue_of(message) for message in messages]
        found, each = {}, iter(answers)
        for name in self._names:
            pairs = [(next(each), next(each)) for _ in self._suffixes]
            due = [when for _, message in pairs if (when := _due(message)) is not None]
            depth = {"ready": sum(length for length, _ in pairs)}
            if count <= _MOST:
                depth["in_flight"] = taken.count(name)
            found[name] = Look(depth, min(due, default=None))
        return found

    def stop(self) -> None:
        """Add nothing to messages any more."""
        self._signals.before_task_publish.disconnect(self._sent)
        self._signals.task_prerun.disconnect(self._begun)
        self._client.close()

    def _sent(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        with guarded(self._store, "queue"):
            if headers is not None and headers.get(_DUE) is None:
                eta = headers.get("eta")
                headers[_DUE] = datetime.fromisoformat(eta).timestamp() if eta else time.time()

    def _begun(self, task: Any = None, **_: Any) -> None:
        with guarded(self._store, "queue"):
            due = (getattr(task.request, "headers", None) or {}).get(_DUE) or getattr(
                task.request, _DUE, None
            )
            if due is not None:
                queue = (task.request.delivery_info or {}).get("routing_key") or "unknown"
                waited(self._store, queue if queue in self._names else "other", float(due))


def _due(message: bytes | None) -> float | None:
    try:
        return float(json.loads(message)["headers"][_DUE]) if message else None
    except (ValueError, KeyError, TypeError):  # sent by a program that is not watched
        return None


def _queue_of(message: bytes | str) -> str | None:
    try:
        return str(json.loads(message)[2])  # [message, exchange, routing key]
    except (ValueError, IndexError, TypeError):
        return None

"""Threads for calls that may never return, such as a name look-up; the process does not wait for them."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Job = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class DaemonThreads(ThreadPoolExecutor):
    """An executor of daemon threads, because those of the standard one are joined when Python ends.

    It is a ThreadPoolExecutor since asyncio takes no other as a loop's default. A thread that is free is
    used again; with `limit` threads at work, calls wait.
    """

    def __init__(self, limit: int = 64) -> None:
        super().__init__(1)  # which starts no thread as long as nothing is submitted to it
        self._limit = limit
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = self._free = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function in one of the threads."""
        future: Future[Any] = Future()
        self._jobs.put((future, function, args, kwargs))
        with self._lock:
            if self._free:
                self._free -= 1
            elif self._count < self._limit:
                self._count += 1
                threading.Thread(target=self._work, daemon=True, name="blocking").start()
        return future

    def _work(self) -> None:
        while True:
            future, function, args, kwargs = self._jobs.get()
            runs = future.set_running_or_notify_cancel()
            result, error = None, None
            if runs:
                try:
                    result = function(*args, **kwargs)
                except BaseException as raised:
                    error = raised
            with self._lock:  # before the caller knows, who may come with the next call at once
                self._free += 1
            if error is not None:
                future.set_exception(error)
            elif runs:
                future.set_result(result)
            del future, function, args, kwargs, result, error  # nothing is held while waiting for the next

"""Threads for calls that may never return, such as a name look-up; the process does not wait for them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class DaemonThreads(ThreadPoolExecutor):
    """An executor with a daemon thread for each call, because the standard one is joined when Python ends.

    It is a ThreadPoolExecutor since asyncio takes no other as a loop's default. Calls beyond `limit` wait.
    """

    def __init__(self, limit: int = 64) -> None:
        super().__init__(1)  # which starts no thread as long as nothing is submitted to it
        self._room = threading.Semaphore(limit)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function in a thread of its own."""
        future: Future[Any] = Future()

        def work() -> None:
            with self._room:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=work, daemon=True, name="blocking").start()
        return future

"""Looking up a host's name without being held by it: at most one thread hangs for each name."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from concurrent.futures import Future

_running: dict[str, "Future[None]"] = {}
_lock = threading.Lock()


async def looked_up(host: str) -> None:
    """Return when the system has an answer for this name, good or bad; it then answers the driver at once.

    A look-up cannot be broken off. The event loop's own would take one of the few threads that all
    collectors share, again at each scrape, and the exporter could not stop before the last has ended.
    """
    if not _is_name(host):
        return
    with _lock:
        answer = _running.get(host)
        if answer is None:
            answer = _running[host] = Future()
            answer.set_running_or_notify_cancel()
            threading.Thread(
                target=_look_up, args=(host, answer), name=f"look up {host}", daemon=True
            ).start()
    await asyncio.wrap_future(answer)


def _is_name(host: str) -> bool:
    if not host or host.startswith(("/", "@")):  # a socket in the file system
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def _look_up(host: str, answer: "Future[None]") -> None:
    with contextlib.suppress(OSError, UnicodeError):  # the driver will find the same, and tells of it
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    with _lock:
        del _running[host]
    answer.set_result(None)

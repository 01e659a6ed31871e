"""One program that we started: its port, log and readiness; stopped, frozen and restarted by its own id."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from scripts.stack import leftovers
from scripts.stack.errors import SetupError

HOST = "127.0.0.1"
READY_SECONDS = 180.0  # seen on two cores: 1 s when idle, 38 s beside 24 busy processes
STOP_SECONDS = 10.0  # then SIGKILL; Prometheus writes its head out in about one
LOG_LINES = 15  # of a program's log that a failure shows
# What our programs ask of each other never goes through a proxy that the environment names.
NO_PROXY = {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}

# The kernel ties a child to the thread that started it: so one thread, which lives to the end, starts all.
_starter = ThreadPoolExecutor(1, thread_name_prefix="starter")
# A parent that died before its child could ask to be told of that tells nobody: so the child looks once.
_STILL_THERE = '[ "$PPID" = "$1" ] || exit 1; shift; exec "$@"'
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Process:
    """A child in a group of its own that ends when we end, however we end."""

    def __init__(
        self,
        name: str,
        command: Callable[[int], Sequence[str | Path]],
        *,
        log: Path,
        ready: "Callable[[Process], bool] | None" = None,
        port: int = 0,
        movable: bool | None = None,
        scheme: str = "http",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        end_signal: signal.Signals = signal.SIGTERM,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self.name, self.command, self.log, self.port, self._scheme = name, command, log, port, scheme
        self._movable = port == 0 if movable is None else movable
        self._ready, self._env, self._cwd, self.user = ready, dict(env or {}), cwd, user
        self._end_signal, self._ready_seconds = end_signal, ready_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was never started"
        return self._child.pid

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        """What may be shown: the URL without secrets; empty for what has none."""
        return f"{self._scheme}://{HOST}:{self.port}" if self._scheme else ""

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def ready(self) -> bool:
        return self.alive and (self._ready is None or self._ready(self))

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        assert not self.alive, f"{self.name} is running"
        self.port = self.port or free_port()
        _starter.submit(self._spawn).result()

    def _spawn(self) -> None:
        command = [str(word) for word in self.command(self.port)]
        # setpriv sets the signal of the parent's death, and becomes the program.
        if setpriv := shutil.which("setpriv"):
            guard = ["sh", "-c", _STILL_THERE, "sh", str(os.getpid())]
            end = self._end_signal.name.removeprefix("SIG")
            command = [setpriv, "--pdeathsig", end, "--", *guard, *command]
        # A server that changes its user may not open our log itself, so it gets it open.
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env={**os.environ, **NO_PROXY, **self._env},
                start_new_session=True,
                **as_user(self.user),
            )
        self._started = psutil.Process(self.pid).create_time()

    def wait_ready(self) -> None:
        """Wait until it is ready; on another free port when somebody took the one that was free."""
        for attempt in (1, 2, 3):
            try:
                return self._wait_ready()
            except SetupError:
                self.stop()
                if not self._movable or attempt == 3 or "in use" not in self.last_lines():
                    raise
                self.port = 0
                self.launch()
        return None

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self._ready_seconds
        while not self.ready:
            if not self.alive:
                assert self._child is not None
                raise SetupError(
                    f"{self.name} ended with code {self._child.returncode}.\n{self.last_lines()}"
                )
            if time.monotonic() > deadline:
                waited = f"{self._ready_seconds:.0f} s"
                raise SetupError(f"{self.name} was not ready after {waited}.\n{self.last_lines()}")
            time.sleep(0.02)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, then end it and its children. Nothing to do when it has ended."""
        self._finish(self._end_signal, seconds)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._finish(signal.SIGKILL, STOP_SECONDS)

    def _finish(self, first: signal.Signals, seconds: float) -> None:
        if self._child is None:
            return
        if self.alive:
            family = self._family()
            self._child.send_signal(first)
            self.thaw()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
            psutil.wait_procs(
                family[1:], timeout=1
            )  # children that end by themselves when their parent is gone
            self._child.kill()
            self._child.wait()
            leftovers.kill(family[1:])
        leftovers.kill(leftovers.orphans(self.pid, self._started))
        leftovers.forget_numbers(self.pid, self._started)

    def restart(self) -> None:
        """Stop it, and start it again on the same port."""
        self.stop()
        self.launch()
        self.wait_ready()

    def freeze(self) -> None:
        """Keep it from running while its port stays open, as a hung machine would."""
        for member in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.suspend()

    def thaw(self) -> None:
        for member in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()

    def listens(self) -> bool:
        """Whether the listener on our port is ours: a stranger's server that answers there must not fool."""
        for member in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                sockets = member.net_connections("tcp")
                if any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in sockets):
                    return True
        return False

    def _family(self) -> list[psutil.Process]:
        """Itself and all children; a signal to the group would miss those of Postgres, which leave it."""
        try:
            itself = psutil.Process(self.pid)
            return [itself, *itself.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def last_lines(self, count: int = LOG_LINES) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(["The end of its log:", *(f"  {line}" for line in lines[-count:])])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a past connection does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def http_ok(path: str) -> Callable[[Process], bool]:
    """Ready when this path answers 200."""
    return lambda process: (
        process.listens() and get(f"http://{HOST}:{process.port}{path}", seconds=2) is not None
    )


def tcp_open(process: Process) -> bool:
    """Ready when it listens on its port."""
    return process.listens()


def get(url: str, seconds: float = 5) -> bytes | None:
    """The body of a 200 answer; None for anything else."""
    try:
        with _direct.open(url, timeout=seconds) as answer:
            body: bytes = answer.read()
            return body if answer.status == 200 else None
    except (OSError, ValueError):
        return None


def post(url: str, method: str = "POST", seconds: float = 60) -> None:
    """Send a request without a body. Raises SetupError when it is refused."""
    try:
        with _direct.open(urllib.request.Request(url, method=method), timeout=seconds):  # noqa: S310 - our own
            pass
    except OSError as error:
        raise SetupError(f"{method} {url}: {error}") from None


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments that let subprocess start a program as this user."""
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []} if name else {}

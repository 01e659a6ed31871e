"""The exporter as a process: it listens, stops in time, and reads its settings anew when told to."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from exporter import __version__, privileges
from exporter._threads import DaemonThreads
from exporter.catalog import Metric, Sample
from exporter.config import Config, ConfigError
from exporter.pages import application
from exporter.service import Service
from exporter.web_guard import Guard, exposure

BUILD_INFO = Metric(
    "watchkeeper_build_info",
    "gauge",
    "Always 1; version and revision of the running exporter.",
    ("version", "revision"),
)

STOP_SECONDS = 2

_log = logging.getLogger("watchkeeper.server")


async def serve(config: Config, load: Callable[[], Config] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP has `load` read the settings anew.

    Raises ConfigError when the address cannot be had.
    """
    host, port = config.server.address
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {config.server.listen}: {getattr(error, 'strerror', None) or error}; "
            "choose another server.listen, or stop what is using it"
        ) from None
    web = config.server.web_config_file
    guard = Guard(web) if web else None
    if config.server.user:  # as soon as the address is bound and keys are read, and before there are threads
        privileges.drop(config.server.user)
    service = Service(config, _with(guard, load), extra=[build_info()])
    app = application(service)
    settings = uvicorn.Config(
        guard.around(app) if guard else app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # it is made by the loop that we replace
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    settings.load()
    settings.ssl = guard.context() if guard else None
    server = _Server(settings, service)
    _obey(server, service)
    _tell(config, guard, f"{host}:{listener.getsockname()[1]}")
    await server.serve(sockets=[listener])


def _obey(server: "_Server", service: Service) -> None:
    """End at SIGINT and SIGTERM, and read the settings anew at SIGHUP."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, server.handle_exit, stop, None)
    reloads: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        task = loop.create_task(_reload(service))
        reloads.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)


def _tell(config: Config, guard: Guard | None, address: str) -> None:
    """Say where it listens, and what is not as safe as it could be."""
    scheme = "https" if guard and guard.secure else "http"
    _log.info("%s://%s/metrics with the collectors %s", scheme, address, ", ".join(config.collectors))
    for warning in (
        privileges.advice(config.server.user),
        exposure(config.server.address[0], guard),
        *privileges.unreadable([*config.files, *(guard.files if guard else [])]),
    ):
        if warning:
            _log.warning(warning)


def _with(guard: Guard | None, load: Callable[[], Config] | None) -> Callable[[], Config] | None:
    """Return a reading of the settings that reads the guard's file too, so that a reload tells its faults."""
    if guard is None or load is None:
        return load

    def both() -> Config:
        config = load()
        guard.reload()
        return config

    return both


async def _reload(service: Service) -> None:
    with contextlib.suppress(ConfigError):  # it is logged
        await service.reload()


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which ends by raising the signal again: a stop is no failure."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._end = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._end.set()

    async def main_loop(self) -> None:
        # Theirs wakes up ten times a second to look at the clock, which costs as much as the scrapes do.
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A scrape that waits for a collector is answered now: uvicorn would cancel it and log a traceback.
        await asyncio.gather(self._service.close(), super().shutdown(sockets))


def build_info() -> Sample:
    """Return the series that tells which exporter runs."""
    note = Path(__file__).with_name("REVISION")  # written when an image is built
    revision = note.read_text().strip() if note.is_file() else "unknown"
    return BUILD_INFO.sample(1, version=__version__, revision=revision)

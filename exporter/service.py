"""The pages of the configuration in force; another one takes its place without a scrape lost."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from types import ModuleType

from exporter.catalog import Metric, Sample
from exporter.collectors import found
from exporter.config import Collectors, Config, ConfigError
from exporter.scrape import Scraper

RELOAD_SUCCESSFUL = Metric(
    "watchkeeper_config_last_reload_successful",
    "gauge",
    "1 when the settings were read without a fault the last time, 0 when an older state goes on.",
)
RELOAD_TIME = Metric(
    "watchkeeper_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When settings were last put in force, as Unix time.",
)

# New settings wait so long for the scrapes under way, which then are answered with what is there.
_FINISH_SECONDS = 2.0

# What is used once, while the process starts.
_AT_START = ("listen", "user", "web_config_file")

_log = logging.getLogger("watchkeeper")


class Service:
    """All pages of an exporter: that of `collectors`, called "", and one for each of `targets`.

    `load` reads the settings anew; without it there is nothing to reload. `extra` stands on the page "".
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config] | None = None,
        *,
        extra: Iterable[Sample] = (),
        modules: Mapping[str, ModuleType] | None = None,
    ) -> None:
        self._modules = found() if modules is None else modules
        self._extra = list(extra)
        self._load = load
        self._config = config
        self._scrapers = self._made(config)
        self._reloaded = (1, time.time())
        self._reloading = asyncio.Lock()
        self._open = asyncio.Event()  # cleared while the scrapers are exchanged
        self._open.set()
        self._idle = asyncio.Event()  # set while no scrape is under way
        self._idle.set()
        self._busy = 0

    @property
    def scrape_timeout(self) -> float:
        """Seconds after which a scrape is answered in any case."""
        return self._config.server.scrape_timeout

    @property
    def scrapers(self) -> dict[str, Scraper]:
        """The collectors of each page, for showing them; to run them is for `scraping`."""
        return self._scrapers

    @asynccontextmanager
    async def scraping(self, name: str = "") -> AsyncIterator[Scraper]:
        """Give the collectors of a page, in force until the end. Raises KeyError for a wrong name."""
        await self._open.wait()
        scraper = self._scrapers[name]
        self._busy += 1
        self._idle.clear()
        try:
            yield scraper
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    def samples(self) -> Iterator[Sample]:
        """Yield what the main page tells of the service itself."""
        successful, when = self._reloaded
        yield RELOAD_SUCCESSFUL.sample(successful)
        yield RELOAD_TIME.sample(when)

    async def reload(self) -> None:
        """Read the settings and put them in force. Raises ConfigError for bad ones; the old go on then."""
        if self._load is None:
            raise ConfigError("there are no settings to read anew")
        async with self._reloading:
            try:
                # In a thread: a file may lie on a slow disk, and scrapes go on.
                config = await asyncio.to_thread(self._load)
                fresh = self._made(config)
            except ConfigError as error:
                self._reloaded = (0, self._reloaded[1])
                for problem in error.problems:
                    _log.error("the settings in force stay: %s", problem)
                raise
            await self._exchange(fresh)
            for key in _AT_START:
                if getattr(config.server, key) != getattr(self._config.server, key):
                    _log.warning("a new server.%s is used at the next start only", key)
            self._config = config
            self._reloaded = (1, time.time())
            _log.info("new settings are in force")

    async def close(self) -> None:
        """End all runs. Scrapes under way are answered at once."""
        await asyncio.gather(*(scraper.close() for scraper in self._scrapers.values()))

    async def _exchange(self, fresh: dict[str, Scraper]) -> None:
        """Close the old before the new run, so that connections stay within their budget."""
        self._open.clear()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FINISH_SECONDS):
                    await self._idle.wait()
            await self.close()
            self._scrapers = fresh
        finally:
            self._open.set()

    def _made(self, config: Config) -> dict[str, Scraper]:
        names = {keys: keys[-1] if keys[0] == "targets" else "" for keys in config.pages()}
        return {names[keys]: self._scraper(each, names[keys]) for keys, each in config.pages().items()}

    def _scraper(self, collectors: Collectors, name: str) -> Scraper:
        chosen = {key: (self._modules[key], settings) for key, settings in collectors.items()}
        return Scraper(chosen, extra=[] if name else self._extra)

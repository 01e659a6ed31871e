"""A Redis server, named as redis_exporter names it, and the hit ratio of the cache that it is."""

import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, model_validator
from redis import exceptions

from exporter.catalog import Metric, Sample
from exporter.collectors import CollectorSettings, Keep
from exporter.collectors._line import Line
from exporter.collectors.redis import _answers, _info
from exporter.collectors.redis._hit_ratio import HitRatio
from exporter.collectors.redis._session import INFO, Answers, Session, connection_for

UP = Metric(
    "redis_up",
    "gauge",
    "Whether Redis could be reached and let us in: 1 or 0.",
    origin="redis_exporter",
)
CACHE_HIT_RATIO = Metric(
    "cache_hit_ratio",
    "gauge",
    "Lookups that found their key, of all lookups of the last five minutes; absent when there were none.",
    ("cache",),
)

# All that a user needs, as rules of ACL SETUSER. INFO is enough for most of it: where another is refused,
# only its own metrics are missing. The user sees no key by these, but the slow log holds the arguments of
# slow commands: without `+slowlog|get` only the time and number of the last one are lost.
RIGHTS = "-@all +info +slowlog|len +slowlog|get +latency|latest +cluster|info"
SENTINEL_RIGHTS = "-@all +info +sentinel|masters +sentinel|replicas +sentinel|sentinels +sentinel|ckquorum"

# Checked before the driver sees it: its own message for a malformed address can show the password.
_URL = re.compile(
    r"rediss?://([^/?#\s]*@)?(\[[\da-fA-F:.]+\]|[^@/?#\s:\[\]]*)(:\d+)?(/\d*)?(\?[^@#\s]*)?"
    r"|unix://([^/?#\s]*@)?/[^@#\s]*"
)
# What an address may say behind its question mark. Some others the driver takes, and fails when it connects.
_PARAMETER = re.compile(
    r"client_name|db|health_check_interval|password|protocol|username"
    r"|socket_(connect_timeout|keepalive|timeout)"
    r"|ssl_(ca_certs|ca_data|ca_path|cert_reqs|certfile|check_hostname|ciphers|keyfile|min_version|password)"
)
_URL_HELP = "must look like redis://user:password@host:6379/0, special characters as %40"


class Settings(CollectorSettings):
    """Which Redis or Sentinel, and how to log in.

    The least rights: ACL SETUSER watchkeeper on >password followed by RIGHTS, or on a Sentinel
    SENTINEL_RIGHTS.
    """

    url: SecretStr | None = Field(
        default=None, description="Address, as redis://user:password@host:6379/0, rediss:// or unix://."
    )
    url_file: Path | None = Field(default=None, description="A file that holds the address instead.")
    cache: str = Field(
        default="redis", min_length=1, description="Name of the cache in the label of cache_hit_ratio."
    )

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give either url or url_file")
        if self.url is not None:
            _checked(self.url.get_secret_value(), "url")
        return self

    def address(self) -> str:
        """Return the address. A file is read at each connecting, so a changed password is found."""
        if self.url is not None:
            return self.url.get_secret_value()
        assert self.url_file is not None
        return _checked(self.url_file.read_text().strip(), f"the text of {self.url_file}")


async def collect(
    settings: Settings, keep: Keep, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Sample]:
    """Ask what the server tells about itself, in one round trip over one connection that is kept.

    `clock` tells the seconds that the hit ratio's five minutes are measured in.
    """
    answers = await _asked(settings, keep)
    info = _info.parse(answers[INFO])
    for sample in _info.samples(info):
        yield sample
    for sample in _answers.samples(answers):
        yield sample
    if {"keyspace_hits", "keyspace_misses", "uptime_in_seconds"} <= info.keys():  # no proxy before it
        history = keep.remember("hits", HitRatio)
        history.add(
            clock(),
            hits=float(info["keyspace_hits"]),
            misses=float(info["keyspace_misses"]),
            uptime=float(info["uptime_in_seconds"]),
        )
        ratio = history.ratio()
        if ratio is not None:
            yield CACHE_HIT_RATIO.sample(ratio, cache=settings.cache)


async def _asked(settings: Settings, keep: Keep) -> Answers:
    async def connect() -> Session:
        return await Session.connect(settings.address(), settings.timeout)

    line = keep.shared("redis", lambda: Line(connect, Session.close), Line.close)
    return await line.read(lambda session: session.ask(_answers.plan))


def _checked(address: str, what: str) -> str:
    if not _URL.fullmatch(address):
        raise ValueError(f"{what} {_URL_HELP}")
    for parameter, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True):
        if not _PARAMETER.fullmatch(parameter):
            raise ValueError(f"{what} has the unknown parameter {parameter!r}")
    try:
        connection_for(address, 1)  # it does not connect yet
    except (TypeError, ValueError, exceptions.RedisError):
        raise ValueError(f"{what} has a port or a parameter that the driver refuses") from None
    return address

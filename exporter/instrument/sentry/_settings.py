"""What the user and the environment say about Sentry, checked and complete."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from exporter.instrument.sentry import _release

T = TypeVar("T")

QUIET_PATHS = (
    "/metrics",
    "/health",
    "/health/ready",
    "/healthz",
    "/ready",
    "/readyz",
    "/live",
    "/livez",
    "/ping",
    "/api/v1/health",
    "/api/v1/health/detailed",
)
FILTERS = frozenset({"not_found", "timeout", "client_gone", "health_check"})
LIFECYCLES = ("static", "stream")
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
# What Sentry itself refuses in these names.
_NAME = re.compile(r"[^\s/\\]{1,64}")
_RELEASE = re.compile(r"(?!\.{1,2}$)[^\n\r\t/\\]{1,200}")
# These are what the promises rest on.
_OURS = frozenset(
    {
        "before_send",
        "before_send_span",
        "before_send_transaction",
        "data_collection",
        "dsn",
        "error_sampler",
        "event_scrubber",
        "send_default_pii",
        "spotlight",
        "traces_sampler",
        "transport",
    }
)


@dataclass(frozen=True)
class SentryOptions:
    """How errors are reported, for `instrument(app, sentry=...)`; the environment says the rest.

    In brackets the variables. `dsn` [SENTRY_DSN] is where to; without one, and with SENTRY_ENABLED=false, all
    is off. `environment` [SENTRY_ENVIRONMENT, ENVIRONMENT, ENV] is `development` where nobody says otherwise.
    `release` [SENTRY_RELEASE, RELEASE_VERSION, RELEASE, VERSION] is the git revision otherwise.

    Rates are shares from 0 to 1: `sample_rate` [SENTRY_SAMPLE_RATE] of errors, 1 by default;
    `traces_sample_rate` [SENTRY_TRACES_SAMPLE_RATE] of requests, none by default; `profiles_sample_rate`
    [SENTRY_PROFILES_SAMPLE_RATE] of traces. Errors of the categories in `always` are all kept.

    `send_default_pii` [SENTRY_SEND_DEFAULT_PII] adds request bodies, headers, queries and user names, which
    are scrubbed all the same. `include_local_variables` [SENTRY_INCLUDE_LOCAL_VARIABLES] adds variables
    of the application's own code, scrubbed. `max_breadcrumbs` [SENTRY_MAX_BREADCRUMBS] is 50, `debug`
    [SENTRY_DEBUG] off. `trace_lifecycle` [SENTRY_TRACE_LIFECYCLE] is "static" or "stream"; `enable_logs`
    [SENTRY_ENABLE_LOGS] sends log lines too.

    `filters` are the kinds of errors that are not reported. Requests to `quiet_paths` are neither traced nor
    reported. `categories` gives categories to classes or modules of exceptions, as
    `{"shop.payments": "payment"}`. `test_token` opens `test_path` for a test event. `settings_path`
    [SENTRY_SETTINGS_PATH] serves the front end its settings, with `frontend_dsn`
    [SENTRY_FRONTEND_DSN, NEXT_PUBLIC_SENTRY_DSN], or else the same DSN. `sdk` are further options of
    `sentry_sdk.init`. `scrubber` is the engine that takes private data out, ours by default.
    """

    dsn: str = ""
    environment: str = ""
    release: str = ""
    sample_rate: float | None = None
    traces_sample_rate: float | None = None
    profiles_sample_rate: float | None = None
    send_default_pii: bool | None = None
    include_local_variables: bool | None = None
    max_breadcrumbs: int | None = None
    debug: bool | None = None
    trace_lifecycle: str = ""
    enable_logs: bool | None = None
    filters: frozenset[str] = FILTERS
    quiet_paths: tuple[str, ...] = QUIET_PATHS
    always: frozenset[str] = frozenset({"payment", "security"})
    categories: Mapping[str, str] = field(default_factory=dict)
    test_path: str = "/api/v1/sentry/test"
    test_token: str = field(default="", repr=False)
    settings_path: str = ""
    frontend_dsn: str = ""
    frontend_environment: str = ""
    sdk: Mapping[str, Any] = field(default_factory=dict)
    scrubber: Any = None


@dataclass(frozen=True)
class Settings:
    """The same with nothing left open. `origins` names the variables that the values come from."""

    dsn: str = field(repr=False)
    environment: str
    release: str
    sample_rate: float
    traces_sample_rate: float | None
    profiles_sample_rate: float | None
    send_default_pii: bool
    include_local_variables: bool
    max_breadcrumbs: int
    debug: bool
    trace_lifecycle: str
    enable_logs: bool
    frontend_dsn: str
    frontend_environment: str
    settings_path: str
    test_token: str = field(repr=False)
    chosen: SentryOptions = field(repr=False)
    origins: Mapping[str, str]


def is_wanted(options: SentryOptions, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is somewhere to report to, and nobody has switched it off."""
    if not (options.dsn or environment.get("SENTRY_DSN", "").strip()):
        return False
    return _Reader(environment).boolean(None, True, "SENTRY_ENABLED")


def resolve(
    options: SentryOptions, environment: Mapping[str, str] = os.environ, folder: Path | None = None
) -> Settings:
    """Return complete settings. Raises ValueError that names the variable or field for what cannot be."""
    read = _Reader(environment)
    release, origin = options.release, ""
    if not release:
        release, origin = _release.of(environment, folder or Path.cwd())
        if origin != "git" and not _RELEASE.fullmatch(release or "-"):
            raise ValueError(
                f"{origin}: {release[:80]!r} is no name for a release (no slashes, 200 characters)"
            )
    if origin:
        read.origins["release"] = origin
    dsn = read.text(options.dsn, "dsn", "SENTRY_DSN")
    name = read.text(options.environment, "environment", "SENTRY_ENVIRONMENT", "ENVIRONMENT", "ENV")
    front = read.text(options.frontend_dsn, "frontend_dsn", "SENTRY_FRONTEND_DSN", "NEXT_PUBLIC_SENTRY_DSN")
    settings = Settings(
        dsn=_checked_dsn(dsn, read.origins.get("dsn", "dsn")),
        environment=name or "development",
        release=release,
        sample_rate=read.share(options.sample_rate, "SENTRY_SAMPLE_RATE") or 0.0,
        traces_sample_rate=read.share(options.traces_sample_rate, "SENTRY_TRACES_SAMPLE_RATE"),
        profiles_sample_rate=read.share(options.profiles_sample_rate, "SENTRY_PROFILES_SAMPLE_RATE"),
        send_default_pii=read.boolean(options.send_default_pii, False, "SENTRY_SEND_DEFAULT_PII"),
        include_local_variables=read.boolean(
            options.include_local_variables, False, "SENTRY_INCLUDE_LOCAL_VARIABLES"
        ),
        max_breadcrumbs=read.number(options.max_breadcrumbs, 50, "SENTRY_MAX_BREADCRUMBS"),
        debug=read.boolean(options.debug, False, "SENTRY_DEBUG"),
        trace_lifecycle=read.text(options.trace_lifecycle, "trace_lifecycle", "SENTRY_TRACE_LIFECYCLE")
        or "static",
        enable_logs=read.boolean(options.enable_logs, False, "SENTRY_ENABLE_LOGS"),
        frontend_dsn=_checked_dsn(front, read.origins.get("frontend_dsn", "frontend_dsn")) if front else "",
        frontend_environment=read.text(
            options.frontend_environment,
            "frontend_environment",
            "SENTRY_FRONTEND_ENVIRONMENT",
            "NEXT_PUBLIC_SENTRY_ENVIRONMENT",
        ),
        settings_path=read.text(options.settings_path, "settings_path", "SENTRY_SETTINGS_PATH"),
        test_token=read.text(options.test_token, "test_token", "SENTRY_TEST_TOKEN"),
        chosen=options,
        origins=read.origins,
    )
    for wrong in _wrong(settings):
        raise ValueError(f"sentry: {wrong}")
    return settings


def _wrong(settings: Settings) -> Any:
    if not _NAME.fullmatch(settings.environment):
        yield f"{settings.environment!r} is no name for an environment (no blanks, no slashes, 64 characters)"
    if settings.trace_lifecycle not in LIFECYCLES:
        yield f"trace_lifecycle is {settings.trace_lifecycle!r}; there are static and stream"
    if unknown := settings.chosen.filters - FILTERS:
        yield f"there is no filter {sorted(unknown)}; there are {sorted(FILTERS)}"
    if taken := _OURS.intersection(settings.chosen.sdk):
        yield f"{sorted(taken)} cannot be given by sdk=, for scrubbing rests on them"


class _Reader:
    """Reads variables; an empty one is as good as none."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.origins: dict[str, str] = {}

    def text(self, given: str, field_: str, *names: str) -> str:
        if given:
            return given
        for name in names:
            value = self._environment.get(name, "").strip()
            if value:
                self.origins[field_] = name
                return value
        return ""

    def share(self, given: float | None, name: str) -> float | None:
        default = 1.0 if name == "SENTRY_SAMPLE_RATE" else None
        value = self._parsed(given, default, name, float, "a share from 0 to 1")
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name}: {value} is no share from 0 to 1")
        return value

    def number(self, given: int | None, default: int, name: str) -> int:
        value = self._parsed(given, default, name, int, "a whole number")
        if value is None or value < 0:
            raise ValueError(f"{name}: {value} is below 0")
        return value

    def boolean(self, given: bool | None, default: bool, name: str) -> bool:
        return bool(self._parsed(given, default, name, _boolean, "true or false"))

    def _parsed(
        self, given: T | None, default: T | None, name: str, parse: Callable[[str], T], wanted: str
    ) -> T | None:
        if given is not None:
            return given
        value = self._environment.get(name, "").strip()
        if not value:
            return default
        try:
            return parse(value)
        except ValueError:
            raise ValueError(f"{name}: {value[:80]!r} is not {wanted}") from None


def _boolean(text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError(text)


def _checked_dsn(dsn: str, origin: str) -> str:
    """Return the DSN. It is never shown in a message: an old one has a secret in it."""
    try:
        parts = urlsplit(dsn)
        server = parts.scheme in ("http", "https") and parts.hostname and parts.username
        valid = bool(server and parts.port != 0 and parts.path.rstrip("/").rpartition("/")[2])
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{origin} is no DSN: it looks like https://<key>@<host>/<project>")
    return dsn

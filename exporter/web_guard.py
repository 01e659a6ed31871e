"""The guard at the door: TLS and credentials for every page, by a file that may change at any time."""

import ipaddress
import logging
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter import web_tls
from exporter._threads import DaemonThreads
from exporter.config import ConfigError
from exporter.web_auth import Bucket, BusyError, Passwords, Tokens, credentials, parse_tokens
from exporter.web_config import Places, WebConfig, load

# Liveness for an orchestrator, which has no credentials; it tells nothing else.
OPEN_PATH = "/-/healthy"

_REALM = "Watchkeeper"
_LOG_SECONDS = 60.0
# What was wrong may be mended elsewhere, as by a certificate that comes after its name.
_RETRY_SECONDS = 5.0

_log = logging.getLogger("watchkeeper.web")


class _State:
    """One reading of the file, with all that it names. Raises ConfigError."""

    def __init__(self, path: Path, pool: Executor) -> None:
        config, places = load(path)
        self.config = config
        self.headers = {name: value for name, value in config.http_server_config.headers.items() if value}
        self.bucket = Bucket(config.rate_limit.interval, config.rate_limit.burst)
        users = {name: value.get_secret_value() for name, value in config.basic_auth_users.items()}
        self.passwords = Passwords(users, pool)
        self.tokens = Tokens(_tokens(config, places))
        self.context = _context(path, config, places)

    @property
    def closed(self) -> bool:
        """Whether one needs credentials."""
        return bool(self.passwords or self.tokens)

    @property
    def challenges(self) -> list[str]:
        kinds = [("Basic", self.passwords, ', charset="UTF-8"'), ("Bearer", self.tokens, "")]
        return [f'{name} realm="{_REALM}"{more}' for name, used, more in kinds if used]


class Guard:
    """TLS and credentials as the file says now: it and the files that it names are read when they change.

    A file that has become bad is said once in the log, and what was in force stays. `ConfigError` is raised
    for one that is bad at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = DaemonThreads(1)  # hashes must not take all processors, nor hold up the stop
        before = _facts([path])
        self._state = _State(path, self._pool)
        self._seen = _facts(self.files) | before
        self._fault = ""
        self._again = 0.0  # when a bad file is read once more
        for loose in _loose(path, self._state.config):
            _log.warning("%s can be read by every user of this machine: chmod o-r %s", loose, loose)

    @property
    def files(self) -> list[Path]:
        """The files that must stay readable, for new certificates and users."""
        return [self._path, *self._state.config.files]

    @property
    def secure(self) -> bool:
        """Whether it is https."""
        return self._state.context is not None

    @property
    def closed(self) -> bool:
        """Whether one needs a password, a token or a certificate."""
        tls = self._state.config.tls_server_config
        return self._state.closed or tls.client_auth_type == "RequireAndVerifyClientCert"

    def context(self) -> ssl.SSLContext | None:
        """Return what `loop.create_server` takes as `ssl`; None for plain HTTP."""
        return web_tls.fresh(self._current_context) if self.secure else None

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application behind this guard."""
        return _Guarded(app, self)

    def reload(self) -> None:
        """Read the files anew when one has changed. Raises ConfigError for bad ones; those in force stay.

        Files that have not changed need not be readable any more: their reader may have given up its rights.
        """
        before = _facts(self.files)
        if before == self._seen and not self._fault:
            return
        try:
            state = _State(self._path, self._pool)
            if (state.context is None) != (self._state.context is None):
                raise ConfigError(f"{self._path}: tls_server_config comes or goes at a restart only")
        except ConfigError as error:
            self._seen, self._fault = before, str(error)
            self._again = time.monotonic() + _RETRY_SECONDS
            raise
        self._state = state
        # As they were before they were read: what changed meanwhile is read again.
        self._seen = _facts(self.files) | {path: before[path] for path in self.files if path in before}
        self._fault = ""
        _log.info("%s: read anew", self._path)

    def current(self) -> _State:
        """Return what is in force, read anew when a file has changed."""
        if not self._fault or time.monotonic() >= self._again or _facts(self.files) != self._seen:
            told = self._fault
            try:
                self.reload()
            except ConfigError as error:
                if str(error) != told:
                    for problem in error.problems:
                        _log.error("the web configuration in force stays: %s", problem)
        return self._state

    def _current_context(self) -> ssl.SSLContext:
        context = self.current().context
        assert context is not None  # reload sees to it
        return context


class _Guarded:
    """The application behind a guard."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard
        self._refused = 0
        self._told = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing of ours is a WebSocket
            await send({"type": "websocket.close"})
            return
        state = self._guard.current()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(state.headers)
            await send(message)

        answer = None if scope["path"] == OPEN_PATH else await self._refusal(state, scope)
        await (answer or self._app)(scope, receive, sending)

    async def _refusal(self, state: _State, scope: Scope) -> PlainTextResponse | None:
        if not state.bucket.let_in():
            return PlainTextResponse("Too many requests.\n", 429, {"retry-after": "1"})
        if not state.closed:
            return None
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, user, secret = credentials(header)
        try:
            if kind == "bearer" and state.tokens.right(secret):
                return None
            if kind == "basic" and state.passwords and await state.passwords.right(user, secret):
                return None
        except BusyError:
            return PlainTextResponse("Too many wrong passwords.\n", 429, {"retry-after": "1"})
        self._tell(scope, "wrong credentials" if header else "no credentials")
        answer = PlainTextResponse("Unauthorised.\n", 401)
        for challenge in state.challenges:
            answer.headers.append("www-authenticate", challenge)
        return answer

    def _tell(self, scope: Scope, what: str) -> None:
        """Log a refusal, but once a minute; without the user's name, which may be a password mistyped."""
        self._refused += 1
        if time.monotonic() - self._told < _LOG_SECONDS:
            return
        address = (scope.get("client") or ("unknown",))[0]
        _log.warning("refused %s: %s, the last from %s", _requests(self._refused), what, address)
        self._refused, self._told = 0, time.monotonic()


def exposure(host: str, guard: Guard | None) -> str:
    """Return what an operator should know about listening on this address; empty when all is well."""
    try:
        if ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            return ""
    except ValueError:
        if host == "localhost":
            return ""
    if guard is None or not guard.closed:
        return "everybody who reaches this address can read the pages: see docs/security.md for credentials"
    if not guard.secure:
        return "passwords and tokens cross the network in the clear: add tls_server_config"
    return ""


def _requests(number: int) -> str:
    return "a request" if number == 1 else f"{number} requests"


def _tokens(config: WebConfig, places: Places) -> list[str]:
    path = config.bearer_token_file
    if path is None:
        return []
    try:
        return parse_tokens(path.read_text(encoding="ascii"))
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        text = "is not ASCII text"
    except ValueError as error:
        text = str(error)
    raise ConfigError(f"{places[('bearer_token_file',)]}: bearer_token_file: {path} {text}") from None


def _context(path: Path, config: WebConfig, places: Places) -> ssl.SSLContext | None:
    if not config.tls_server_config.enabled:
        return None
    try:
        return web_tls.context(config.tls_server_config)
    except web_tls.TlsError as error:
        keys = [("tls_server_config", key) for key in (f"{error.key}_file", error.key)]
        at = next((key for key in keys if key in places), keys[0])
        raise ConfigError(f"{places.get(at, path)}: {'.'.join(at)}: {error}") from None


def _facts(files: Iterable[Path]) -> dict[Path, tuple[int, ...] | None]:
    """Return what changes when a file does: also its replacement, and leave to read it."""
    return {path: _stat(path) for path in files}


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _loose(path: Path, config: WebConfig) -> list[Path]:
    """Return the files with secrets that everybody on the machine can read."""
    tls = config.tls_server_config
    secret = [file for file in (tls.key_file, config.bearer_token_file) if file]
    if tls.key.get_secret_value() or config.basic_auth_users:
        secret.append(path)
    return [file for file in secret if file.stat().st_mode & 0o004]

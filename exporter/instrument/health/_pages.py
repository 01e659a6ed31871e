"""The four health pages over HTTP: who may have which, in which words, with which status code."""

import hmac
import ipaddress
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple, TypedDict

from exporter.instrument.health import _summary
from exporter.instrument.health._checker import Checker
from exporter.instrument.health._findings import Status

LIVE, READY, API, DETAILED = "/health", "/health/ready", "/api/v1/health", "/api/v1/health/detailed"
PATHS = (LIVE, READY, API, DETAILED)
_STANDARD = "application/health+json"
# A loop that is held up for so long has been given up by every client.
LAG_LIMIT_SECONDS = 5.0
# Loopback, RFC 1918, and RFC 4193.
PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
# With any of these a request has come through a proxy, whose address is not its sender's.
FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")


class PageOptions(TypedDict, total=False):
    """Keyword arguments of `Pages`."""

    token: str
    networks: Iterable[str]
    lag_limit: float


class Asked(NamedTuple):
    """What matters of a request; "" for what it does not have."""

    accept: str = ""
    authorization: str = ""
    client: str = ""
    forwarded: bool = False


class Answer(NamedTuple):
    """What to send."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Pages:
    """Answers from the last verdicts, in microseconds, whatever the components do.

    The detailed page is for those who send `token` as a bearer token or, where none is given, for clients
    whose own address is in one of `networks`. After a hold-up of the event loop of more than `lag_limit`
    seconds `/health` is a 503. Raises ValueError for a network that is none.
    """

    def __init__(
        self,
        checker: Checker,
        *,
        token: str = "",
        networks: Iterable[str] = PRIVATE,
        lag_limit: float = LAG_LIMIT_SECONDS,
    ) -> None:
        self._checker = checker
        self._token = f"Bearer {token}".encode() if token else b""
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._lag_limit = lag_limit

    def answer(self, path: str, asked: Asked) -> Answer:
        """Answer a request for one of `PATHS`."""
        standard = _STANDARD in asked.accept
        if path == LIVE:
            return self._live(standard)
        components = _summary.shown(self._checker)
        if path == READY:
            return _status("healthy" if self._is_ready(components) else "unhealthy", standard)
        word = _summary.overall(components)
        age = [("Age", str(_summary.age(components)))]
        if path == API:
            return _status(word, standard, age)
        refused = self._refusal(asked)
        if refused:
            return refused
        told = _summary.standard(components) if standard else _summary.plain(components)
        return _page(503 if word == "unhealthy" else 200, told, standard, age)

    def _live(self, standard: bool) -> Answer:
        lag = self._checker.lag
        seconds = lag.now() if lag is not None else 0.0
        return _status("unhealthy" if seconds > self._lag_limit else "healthy", standard)

    def _is_ready(self, components: _summary.Shown) -> bool:
        checker = self._checker
        return not checker.starting and not checker.stopping and _summary.ready(components)

    def _refusal(self, asked: Asked) -> Answer | None:
        if self._token:
            if hmac.compare_digest(asked.authorization.encode("latin-1", "replace"), self._token):
                return None
            told = {"error": "a bearer token is needed"}
            return _page(401, told, False, [("WWW-Authenticate", "Bearer")])
        if not asked.forwarded and self._is_near(asked.client):
            return None
        return _page(403, {"error": "for a private network; give the health pages a token"}, False)

    def _is_near(self, client: str) -> bool:
        try:
            address: Any = ipaddress.ip_address(client.partition("%")[0])
        except ValueError:  # a socket file, or a server that does not tell
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def _status(word: Status, standard: bool, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    told = {"status": _summary.WORDS[word] if standard else word}
    return _page(503 if word == "unhealthy" else 200, told, standard, headers)


def _page(status: int, told: Any, standard: bool, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    body = json.dumps(told).encode()
    kind = _STANDARD if standard else "application/json"
    common = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
    ]
    return Answer(status, [*common, *headers], body)


def status_line(status: int) -> str:
    """Return what WSGI calls a status."""
    return f"{status} {HTTPStatus(status).phrase}"

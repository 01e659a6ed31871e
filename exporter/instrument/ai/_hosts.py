"""Which requests are calls to an AI service: by host and path, in one look-up for all others."""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.mistral.ai": "mistral",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together",
    "openrouter.ai": "openrouter",
}
_SUFFIXES = (
    (".api.openai.com", "openai"),  # regions: eu.api.openai.com
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
)
# The end of the path, in OpenAI's format ...
_OPERATIONS = {
    ("chat", "completions"): "chat",
    ("images", "generations"): "images",
    ("images", "edits"): "images",
    ("images", "variations"): "images",
    ("audio", "transcriptions"): "transcription",
    ("audio", "translations"): "transcription",
    ("audio", "speech"): "speech",
    ("responses", "compact"): "responses",
}
_LAST = {"responses": "responses", "embeddings": "embeddings", "completions": "completion"}
# ... and in Anthropic's.
_BATCHES = re.compile(r".*/v1/messages/batches(?:/(?P<id>[^/]+)/results)?")
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_MOST_HOSTS = 1000


class Route(NamedTuple):
    """What a request is, as far as its address tells."""

    provider: str
    operation: str
    anthropic: bool = False
    model: str = ""
    batch: str = ""  # its id


class Hosts:
    """The allow-list: known hosts, and base URLs that the user has registered."""

    def __init__(self) -> None:
        self._registered: dict[bytes, dict[str, str]] = {}
        self._known: dict[bytes, tuple[tuple[str, str], ...]] = {}  # (beginning of the path, provider)

    def register(self, url: str, provider: str) -> None:
        """Take a base URL as an AI service's. Raises ValueError for one without scheme or host."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a base URL looks like http://localhost:11434/v1, not {url!r}")
        port = "" if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{parts.port}"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._registered.setdefault(f"{host}{port}".encode("idna"), {})[parts.path.rstrip("/")] = provider
        self._known.clear()

    def route(self, method: str, url: Any) -> Route | None:
        """Return what a request to an httpx `URL` is; None for everything that is no AI call."""
        place: bytes = url.netloc
        entries = self._known.get(place)
        if entries is None:
            entries = self._look_up(place)
        if not entries:
            return None
        path: str = url.path
        for beginning, provider in entries:
            if path.startswith(beginning):
                return _route(method, path, provider)
        return None

    def _look_up(self, place: bytes) -> tuple[tuple[str, str], ...]:
        # The longest beginning first: it is the one that is meant.
        found = sorted(self._registered.get(place, {}).items(), key=lambda entry: -len(entry[0]))
        host = place.decode("ascii", "replace").partition(":")[0]
        provider = _HOSTS.get(host) or next((name for end, name in _SUFFIXES if host.endswith(end)), None)
        if provider:
            found.append(("", provider))
        if len(self._known) < _MOST_HOSTS:
            self._known[place] = tuple(found)
        return tuple(found)


def _route(method: str, path: str, provider: str) -> Route | None:
    pieces = path.rstrip("/").rsplit("/", 2)
    before, last = pieces[-2] if len(pieces) > 1 else "", pieces[-1]
    if method == "POST":
        if (before, last) == ("v1", "messages"):
            return Route(provider, "chat", anthropic=True)
        operation = _OPERATIONS.get((before, last)) or _LAST.get(last)
        if operation:
            deployment = _DEPLOYMENT.search(path)
            return Route(provider, operation, model=unquote(deployment[1]) if deployment else "")
    batches = _BATCHES.fullmatch(path)
    if batches and method == ("GET" if batches["id"] else "POST"):
        operation = "batch_results" if batches["id"] else "batch"
        return Route(provider, operation, anthropic=True, batch=batches["id"] or "")
    return None

"""A stand-in for OpenAI, Azure OpenAI and Anthropic on a free port of this machine; standard library only."""

import threading
from collections import Counter, deque
from dataclasses import replace
from types import TracebackType
from typing import Any

from exporter.testing._script import Answer, Gate
from exporter.testing._server import Arrived, Server


class FakeAI:
    """Answers AI SDKs: `openai_url`, `anthropic_url` and `azure_url` are what their clients call base_url.

    Without instructions every request gets the default `Answer`. `say(...)` appends one for a later
    request, with the fields of `Answer`; `requests` and `told` are what arrived and what was said of usage.
    """

    def __init__(self, default: Answer | None = None) -> None:
        self.default = default or Answer()
        self.requests: list[Arrived] = []
        self.told: Counter[str] = Counter()  # tokens by type, of every usage that was sent to its end
        self.limits: dict[str, str] = {}  # headers of every reply
        self.batch_results: list[Answer] = [Answer(input=5, output=3), Answer(input=6, output=4)]
        self._script: deque[Answer] = deque()
        self._silence = Gate()
        self._lock = threading.Lock()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)

    @property
    def url(self) -> str:
        """Return the address without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """Return the base_url for OpenAI's clients."""
        return f"{self.url}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """Return the base_url for Anthropic's clients."""
        return f"{self.url}/anthropic"

    @property
    def azure_url(self) -> str:
        """Return the azure_endpoint for AzureOpenAI."""
        return f"{self.url}/azure"

    def register(self, ai: Any) -> None:
        """Make `obs.ai` take this for the real services."""
        ai.register_base_url(self.openai_url, "openai")
        ai.register_base_url(self.anthropic_url, "anthropic")
        ai.register_base_url(self.azure_url, "azure")

    def say(self, times: int = 1, **fields: Any) -> Answer:
        """Give the next request (or `times` of them) this answer, made of the default and these fields."""
        answer = replace(self.default, **fields)
        self._script.extend([answer] * times)
        return answer

    def fail(self, status: int, type: str = "", times: int = 1, **fields: Any) -> Answer:  # noqa: A002
        """Let the next request (or `times` of them) fail; SDKs try some statuses again by themselves."""
        return self.say(times, status=status, type=type, **fields)

    def limit_openai(self, *, requests: tuple[int, int], tokens: tuple[int, int], reset: str = "6s") -> None:
        """Tell rate limits as (limit, remaining) in OpenAI's headers."""
        for name, (limit, left) in (("requests", requests), ("tokens", tokens)):
            told = {"limit": str(limit), "remaining": str(left), "reset": reset}
            self.limits |= {f"x-ratelimit-{key}-{name}": value for key, value in told.items()}

    def limit_anthropic(self, *, reset: str = "2026-11-21T12:00:30Z", **limits: tuple[int, int]) -> None:
        """Tell rate limits as `input_tokens=(limit, remaining)` in Anthropic's headers."""
        for name, (limit, left) in limits.items():
            told = {"limit": str(limit), "remaining": str(left), "reset": reset}
            dashed = name.replace("_", "-")
            self.limits |= {f"anthropic-ratelimit-{dashed}-{key}": value for key, value in told.items()}

    def next_answer(self) -> Answer:
        """Return what the script has next; for the server."""
        try:
            return self._script.popleft()
        except IndexError:
            return self.default

    def has_told(self, answer: Answer) -> None:
        """Note usage that was sent; for the server."""
        with self._lock:
            self.told.update(answer.types())

    def stay_silent(self) -> None:
        """Wait until the stand-in is closed; for the server."""
        self._silence.wait()

    def __enter__(self) -> "FakeAI":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._silence.open()
        self._server.end()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

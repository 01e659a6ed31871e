"""What a stand-in answers: one `Answer` for each request, and what it says of usage."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


class Gate:
    """Holds a reply back until the test opens it, so that a test waits for events and never for time."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.reached = threading.Event()

    def open(self) -> None:
        """Let the reply go on."""
        self._opened.set()

    def wait(self) -> None:
        """Wait until the test opens it; for the server."""
        self.reached.set()
        self._opened.wait(30)


@dataclass
class Answer:
    """One reply.

    Tokens: `input` is all input, of which `cached` was read from the provider's cache and `cache_write`
    written to it; `output` is all output, of which `reasoning` was thought. The wire formats differ in
    what includes what, and the stand-in writes each as its provider does. `usage=False` leaves usage out.

    Failures: a `status` of 400 or more with the error's `type`, `code` and `message`; `breaks_after=n` drops
    the connection after n events of a stream; `error_after=n` sends an error event there; `silent` never
    answers. `gate` holds a stream back after its first event, and any other reply before its first byte.
    """

    text: str = "Hello there, how are you?"
    input: int = 12
    cached: int = 0
    cache_write: int = 0
    output: int = 7
    reasoning: int = 0
    usage: bool = True
    model: str = ""  # as answered; by default the one that was asked for
    service_tier: str = ""
    status: int = 200
    type: str = ""
    code: str | None = None
    message: str = "The stand-in was told to fail."
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip: bool = False
    breaks_after: int | None = None
    error_after: int | None = None
    silent: bool = False
    gate: Gate | None = None
    tool: Mapping[str, object] | None = None  # arguments of a tool call, instead of the text
    numbers: int = 8  # how long the vectors of an embedding are

    def types(self) -> dict[str, int]:
        """Return the tokens by disjoint type, as `ai_tokens_total` counts them."""
        counts = {
            "input_uncached": self.input - self.cached - self.cache_write,
            "input_cache_read": self.cached,
            "input_cache_write": self.cache_write,
            "output_text": self.output - self.reasoning,
            "output_reasoning": self.reasoning,
        }
        return {kind: count for kind, count in counts.items() if count}

    def words(self) -> list[str]:
        """Return the text in the pieces that a stream sends."""
        return self.text.split(" ")

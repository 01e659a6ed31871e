"""What calls cost: the user's table first, then genai-prices where it is installed; never a guess."""

import importlib.util
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exporter.instrument.ai import _price_file
from exporter.instrument.ai._calls import Call
from exporter.instrument.ai._rates import INPUT_AUDIO, OUTPUT_AUDIO, WRITE_LONG, Rates, cost

Then = Callable[[float | None], None]

# Its key of each type of token; prices are for a million.
_KEYS = {
    "input_uncached": "input_mtok",
    "input_cache_read": "cache_read_mtok",
    "input_cache_write": "cache_write_mtok",
    WRITE_LONG: "cache_write_1h_mtok",
    INPUT_AUDIO: "input_audio_mtok",
    "output_text": "output_mtok",
    OUTPUT_AUDIO: "output_audio_mtok",
}
_STANDARD = ("", "auto", "default", "standard", "standard_only")
# Names of models come from outside; those of an application are few.
_MOST_KNOWN = 1000
# Calls that wait for a price; a thread that is stuck must not fill the memory.
_MOST_WAITING = 1000
_DAY = 86_400  # seconds

_log = logging.getLogger("watchkeeper")


class Prices:
    """Gives the cost of calls. The first call of a model waits in a thread of ours, not in the application's.

    `own` is a table as `_price_file.read` returns it.
    """

    def __init__(self, own: _price_file.Table | None = None) -> None:
        self._own: _price_file.Table = own or {}
        self._known: dict[tuple[object, ...], Sequence[Rates]] = {}
        self._installed = _is_installed()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Call, Then]] = deque()
        self._thread: threading.Thread | None = None  # while something waits

    def after_fork(self) -> None:
        """Begin anew in a child: what waits for a price is the parent's to count."""
        self._lock, self._waiting, self._thread = threading.Lock(), deque(), None

    def read(self, path: str | Path) -> None:
        """Take the prices of a file before all others. Raises ValueError for a bad one."""
        self._own = _price_file.read(path)
        self._known.clear()

    def ask(self, call: Call, then: Then) -> None:
        """Call `then` with the cost in US dollars, or None where no price is known; now or soon."""
        rates = self._known.get(_key(call))
        if rates is None and (rates := self._from_own(call)) is None:
            if not self._installed:
                then(None)
            else:
                self._later(call, then)
            return
        then(cost(call, rates) if rates else None)

    def wait(self) -> None:
        """Return when every call that waited has been told: for tests and for the end of a script."""
        while (thread := self._thread) is not None:
            thread.join()

    def _from_own(self, call: Call) -> Sequence[Rates] | None:
        for model in _names(call):
            entry = _price_file.find(self._own, call.provider, model)
            if entry is not None:
                return self._learn(call, _price_file.rates(entry, _tier(call)))
        return None

    def _learn(self, call: Call, rates: Sequence[Rates]) -> Sequence[Rates]:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[_key(call)] = rates
        return rates

    def _later(self, call: Call, then: Then) -> None:
        with self._lock:
            has_room = len(self._waiting) < _MOST_WAITING
            if has_room:
                self._waiting.append((call, then))
            if self._thread is None:
                # A daemon: the end of the program waits for no price.
                thread = threading.Thread(target=self._work, name="watchkeeper prices", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread to be had, or the interpreter is about to end
                    self._waiting.clear()
                    has_room = False
                else:
                    self._thread = thread
        if not has_room:
            then(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                call, then = self._waiting.popleft()
            try:
                rates = self._known.get(_key(call))
                if rates is None:
                    rates = self._learn(call, _looked_up_or_none(call))
                then(cost(call, rates) if rates else None)
            except Exception:  # the thread goes on: others wait
                _log.debug("a price could not be told", exc_info=True)


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("genai_prices") is not None
    except (ImportError, ValueError):  # a finder of the application's own may object to the question
        return False


def _key(call: Call) -> tuple[object, ...]:
    # Prices change on announced days, so what was found is good for today.
    return call.provider, call.model, call.answered_model, _tier(call), int(time.time()) // _DAY


def _names(call: Call) -> list[str]:
    """Return the names to look up: what has answered is what is paid for."""
    return [name for name in dict.fromkeys((call.answered_model, call.model)) if name]


def _tier(call: Call) -> str:
    if call.batch:
        return "batch"
    return "" if call.service_tier in _STANDARD else call.service_tier


def _looked_up_or_none(call: Call) -> list[Rates]:
    try:
        return _looked_up(call)
    except Exception:
        _log.warning("genai-prices has failed; no price for %s today", call.model, exc_info=True)
        return []


def _looked_up(call: Call) -> list[Rates]:
    """Return the rates of genai-prices; empty when it does not know the model, or not in this tier."""
    from genai_prices.data_snapshot import get_snapshot

    for name in _names(call):
        try:
            _, model = get_snapshot().find_provider_model(name, None, call.provider, None)
        except LookupError:
            continue
        tier = _tier(call)
        wanted = {"processing": "batch"} if tier == "batch" else {"service_tier": tier} if tier else {}
        now = datetime.now(UTC)
        if wanted and not any(dict(each.when) == wanted for each in model.price_variants or ()):
            return []
        return _rates(vars(model.get_prices(now, wanted or None)))
    return []


def _rates(prices: Mapping[str, Any]) -> list[Rates]:
    mine = {kind: prices[key] for kind, key in _KEYS.items() if prices.get(key) is not None}
    marks = sorted({tier.start for price in mine.values() for tier in getattr(price, "tiers", ())})
    return [Rates(mark, {kind: _at(price, mark) for kind, price in mine.items()}) for mark in (0, *marks)]


def _at(price: Any, mark: int) -> float:
    """Return dollars a token for a call whose input is just over the mark."""
    if hasattr(price, "tiers"):
        price = next((tier.price for tier in reversed(price.tiers) if tier.start <= mark), price.base)
    return float(price) / 1e6

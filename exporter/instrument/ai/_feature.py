"""What AI is used for: a name that stands in the context of the code that calls."""

from contextlib import suppress
from contextvars import Token
from types import TracebackType

from exporter.instrument.ai._calls import FEATURE, NO_FEATURE


class Feature:
    """`with obs.ai.feature("summary"):`, also as `async with`; what is called inside has this name."""

    def __init__(self, name: str) -> None:
        self._name = str(name) or NO_FEATURE
        self._tokens: list[Token[str]] = []

    def __enter__(self) -> None:
        self._tokens.append(FEATURE.set(self._name))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(ValueError, IndexError):  # a generator that is dropped may end in another context
            FEATURE.reset(self._tokens.pop())

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

"""One connection to a Redis. Questions go out together, and their answers come back in one round trip."""

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from exporter.collectors._line import KEEPALIVE_OPTIONS
from exporter.collectors._lookup import looked_up

Question = tuple[str, ...]
# To a refused question there is the error.
Answers = dict[Question, Any]

INFO: Question = ("INFO", "ALL")

# A question that was refused is asked again after this: rights can be granted, and each refusal counts as
# an error in the server's own numbers.
_ASK_AGAIN_SECONDS = 600.0

# The driver would introduce itself with CLIENT SETINFO, which is refused to a user with the least rights.
# Its name for leaving that away changed in release 7.
_INCOGNITO: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)

_log = logging.getLogger("watchkeeper.redis")


class Session:
    """A connection, and what was learnt over it."""

    def __init__(self, connection: AbstractConnection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._plan: Sequence[Question] = ()
        self._refused: dict[Question, float] = {}

    @classmethod
    async def connect(cls, address: str, seconds: float) -> Self:
        """Connect and log in. `seconds` limit how long the network may take. Raises the driver's errors."""
        connection = connection_for(address, seconds)
        await looked_up(urlsplit(address).hostname or "")
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's omission
        except BaseException as error:
            await connection.disconnect(nowait=True)
            # The driver keeps what went wrong, such as TLS, beside its own error only.
            raise error from error.__context__
        return cls(connection)

    async def close(self) -> None:
        """Hang up without waiting for the server."""
        # TLS would say goodbye first; the driver has no public way around that.
        writer = getattr(self._connection, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await self._connection.disconnect(nowait=True)

    async def ask(self, plan: "Callable[[str], Iterable[Question]]") -> Answers:
        """Return the answer to INFO, and to what `plan` makes of INFO's text.

        What was planned last time is asked along with INFO; only what is new costs a second round trip.
        Raises what INFO is refused with.
        """
        answers = await self._round_trip([INFO, *self._allowed(self._plan)])
        text = answers[INFO]
        if isinstance(text, Exception):
            raise text
        self._plan = tuple(plan(text))
        missing = [question for question in self._allowed(self._plan) if question not in answers]
        if missing:
            answers |= await self._round_trip(missing)
        self._note_refusals(answers)
        return answers

    async def _round_trip(self, questions: Sequence[Question]) -> Answers:
        packed = self._connection.pack_commands(questions)
        await self._connection.send_packed_command(packed)
        return {question: await self._answer() for question in questions}

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except exceptions.ResponseError as refusal:
            return refusal

    def _allowed(self, questions: Iterable[Question]) -> list[Question]:
        now = self._clock()
        return [each for each in questions if self._refused.get(each, 0.0) <= now]

    def _note_refusals(self, answers: Answers) -> None:
        for question, answer in answers.items():
            if _refused(answer):
                if question not in self._refused:
                    _log.info("this user may not ask %s, so its metrics are left out", " ".join(question))
                self._refused[question] = self._clock() + _ASK_AGAIN_SECONDS
            else:
                self._refused.pop(question, None)


def connection_for(address: str, seconds: float) -> AbstractConnection:
    """Return a connection that is not open yet. Raises what the driver finds wrong with the address."""
    # So the kernel finds out when the other side has gone without a word.
    watched = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE_OPTIONS}
    network: dict[str, Any] = {"socket_connect_timeout": seconds, **watched}
    pool = ConnectionPool.from_url(
        address,
        **({} if address.startswith("unix:") else network),
        socket_timeout=None,  # the scrape limits each run
        decode_responses=True,
        protocol=2,  # with the newer one the driver asks for notices that only Redis' own cloud knows
        retry=Retry(NoBackoff(), 0),  # the next scrape is the retry
        **_INCOGNITO,
    )
    made: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's omission
    return made


def _refused(answer: Any) -> bool:
    """Whether the user lacks the right, or the server the command (too old, managed, or renamed)."""
    unknown = isinstance(answer, exceptions.ResponseError) and "unknown" in str(answer)[:20].lower()
    return unknown or isinstance(answer, exceptions.NoPermissionError)

"""One ASGI request under way: what stands between the application and its server."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Counts(Protocol):
    """What is told of a request: `asgi.HTTPMetrics`."""

    def ended(self, request: "Request") -> None: ...


class Request:
    """One request while it is answered: an object, because as many closures cost twice as much."""

    __slots__ = ("done", "gone", "layer", "receive", "scope", "send", "size", "started", "status")
    layer: Counts
    scope: Scope
    receive: Receive
    send: Send
    size: int  # bytes of the body sent so far
    status: int  # 0 until the answer begins
    gone: bool  # whether nobody listens any more
    done: bool  # whether it is counted
    started: float

    async def listening(self) -> Message:
        message = await self.receive()
        if not self.done and message["type"] == "http.disconnect":
            self.gone = True
        return message

    def sending(self, message: Message) -> Awaitable[None]:
        if "status" in message:  # the start of the answer; cheaper than comparing its type
            self.status = message["status"]
            return self.send(message)
        return self.sending_body(message)

    async def sending_body(self, message: Message) -> None:
        try:
            await self.send(message)
        except OSError:  # how servers say that nobody is listening (ASGI 2.4)
            self.gone = True
            raise
        if "body" in message:
            self.size += len(message["body"])
        elif message["type"] != "http.response.body":
            return
        if not self.done and ("more_body" not in message or not message["more_body"]):
            self.layer.ended(self)

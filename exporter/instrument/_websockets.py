"""WebSocket connections of an ASGI application: open now, and accepted in all."""

from collections.abc import Callable

from exporter.instrument._guard import guarded
from exporter.instrument._http import HTTPSeries
from exporter.instrument._request import Message, Send
from exporter.store import Store


class Connection:
    """One connection: `sending` stands in for the server's send, and `end` is called when it is over."""

    def __init__(self, store: Store, series: HTTPSeries, send: Send, route: Callable[[], str]) -> None:
        self._store = store
        self._series = series
        self._send = send
        self._route = route
        self._open: tuple[str, ...] = ()

    async def sending(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "websocket.accept" and not self._open:
            with guarded(self._store, "websocket"):
                self._open = (self._route(), *self._series.constant)
                self._series.connections.labels(*self._open).inc()
                self._series.connections_total.labels(*self._open).inc()

    def end(self) -> None:
        """The connection is closed, by whichever side, or never was accepted."""
        if self._open:
            with guarded(self._store, "websocket"):
                self._series.connections.labels(*self._open).dec()

"""Which program listens where: the usual ports where they are free."""

from collections.abc import Callable, Mapping
from typing import Any

from scripts.stack.errors import SetupError
from scripts.stack.process import free_port, is_free

USUAL = {
    "app": 8000,
    "ai": 8001,
    "receiver": 8002,
    "exporter": 9808,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}


class Ports:
    """Hands out ports. Raises SetupError at once when one that was demanded is taken."""

    def __init__(
        self,
        *,
        free: bool = False,
        demanded: Mapping[str, int] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._free, self._demanded, self._say = free, dict(demanded or {}), say
        for name, port in self._demanded.items():
            if not is_free(port):
                raise SetupError(
                    f"Port {port}, demanded for {name}, is taken by another program.\n"
                    f"Stop that program, or leave out `--port {name}={port}`: then a free port is found."
                )

    def of(self, name: str) -> dict[str, Any]:
        """Arguments for Process: the port, and whether another will do should it be lost."""
        if name in self._demanded:
            return {"port": self._demanded[name], "movable": False}
        if self._free:
            return {"port": free_port(), "movable": True}
        usual, taken = USUAL[name], {*USUAL.values(), *self._demanded.values()}
        if is_free(usual) and usual not in self._demanded.values():
            return {"port": usual, "movable": True}
        others = (port for port in range(usual + 1, 65536) if port not in taken and is_free(port))
        port = next(others, 0) or free_port()
        self._say(f"port {usual} is taken: {name} listens on {port}")
        return {"port": port, "movable": True}

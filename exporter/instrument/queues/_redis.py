"""A plain connection to the Redis that an asyncio client talks to, for use in a thread."""

from typing import Any

_SAME = ("host", "port", "db", "username", "password", "path")


def connect_like(client: Any) -> Any:
    """Return a blocking client for the same server, whose calls end within two seconds."""
    import redis

    pool = client.connection_pool
    told = pool.connection_kwargs
    options = {key: told[key] for key in _SAME if told.get(key) is not None}
    if "SSL" in pool.connection_class.__name__:
        options |= {key: value for key, value in told.items() if key.startswith("ssl_")} | {"ssl": True}
    if path := options.pop("path", None):
        options = {"unix_socket_path": path} | {key: options[key] for key in options if key != "host"}
    return redis.Redis(**options, socket_timeout=2, socket_connect_timeout=2)

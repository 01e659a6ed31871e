"""How the demo's servers start from the command line and end: --host, --port, a clean stop, no orphans."""

import argparse
import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


def serve(app: Any, module: str, port: int) -> None:
    """Serve `app` until it is told to stop; `module` and `port` are for the command line's help."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=port, help="(default: %(default)s)")
    chosen = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    # Open WebSockets would hold a stop back for ever.
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )


@asynccontextmanager
async def end_with_parent() -> AsyncIterator[None]:
    """Stop this worker when the process that started the workers is gone.

    One that was killed cannot stop them, and uvicorn's workers would go on serving its port for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:  # a server without workers
        yield
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(parent.sentinel)  # it stays readable
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent.sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)

"""How each of the demo's servers starts from the command line: --host, --port, a clean stop."""

import argparse
import logging
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

"""The application that the servers of these tests serve: counts, holds requests, has children."""

import asyncio
import multiprocessing
import os
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from exporter import instrument


async def who(request):
    return PlainTextResponse(str(os.getpid()))


async def block(request):
    """Keep this worker's loop busy, so that another one accepts what comes meanwhile."""
    time.sleep(0.1)
    return PlainTextResponse(str(os.getpid()))


async def hold(request):
    await asyncio.sleep(60)
    return PlainTextResponse("")


async def chat(websocket):
    await websocket.accept()
    await websocket.receive()


async def child(request):
    """Count once in a child of this worker, made in the way that the path says."""
    way = request.path_params["way"]
    if way == "os":
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
    else:
        process = multiprocessing.get_context(way).Process(target=work)
        process.start()
        await asyncio.to_thread(process.join)
    return PlainTextResponse(str(os.getpid()))


def work():
    with obs.workflow("child_work"):
        pass


app = Starlette(
    routes=[
        Route("/", who),
        Route("/block", block),
        Route("/hold", hold),
        Route("/child/{way}", child),
        WebSocketRoute("/chat", chat),
    ]
)
obs = instrument(app)

if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(
        "tests.exporter.workers.app:app", workers=2, port=int(sys.argv[1]), log_level="error", lifespan="off"
    )

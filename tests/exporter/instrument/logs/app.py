"""An application that binds its user in every place where contexts are usually lost, and logs."""

import asyncio
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware

from exporter import instrument
from tests.exporter.instrument.logs.servers import PLACES

log = logging.getLogger("shop")


@asynccontextmanager
async def closing(_):
    yield
    for number in range(1000):
        log.info("closing %d", number)


app = FastAPI(lifespan=closing)
inner = FastAPI()  # the same routes behind a BaseHTTPMiddleware


async def passing(request, call_next):
    return await call_next(request)


inner.add_middleware(BaseHTTPMiddleware, dispatch=passing)


def bind(user: str):
    obs.log.bind(user_id=user)


async def bind_later(user: str):
    await asyncio.sleep(0)
    obs.log.bind(user_id=user)


def sync_dependency(user: str):
    bind(user)
    yield


async def async_dependency(user: str):
    bind(user)


def sync_endpoint(user: str):
    bind(user)
    log.info("at work")


async def async_endpoint(user: str):
    bind(user)
    log.info("at work")


def by_sync_dependency(bound: None = Depends(sync_dependency)):
    log.info("at work")


async def by_async_dependency(bound: None = Depends(async_dependency)):
    log.info("at work")


async def child_task(user: str):
    async with asyncio.TaskGroup() as group:
        group.create_task(bind_later(user))
    log.info("at work")


async def worker_thread(user: str):
    await run_in_threadpool(bind, user)
    log.info("at work")


for name in PLACES:
    app.get(f"/plain/{name}/{{user}}")(globals()[name])
    inner.get(f"/{name}/{{user}}")(globals()[name])
app.mount("/behind", inner)


@app.get("/")
async def pid():
    return os.getpid()


@app.get("/boom")
async def boom():
    raise RuntimeError("out of order")


@app.get("/long/{count}")
def long(count: int):
    for number in range(count):
        log.info("%d:%s", number, "x" * 20_000)
    return os.getpid()


@app.get("/threads/{user}")
def threads(user: str):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(obs.log.carry(bind), user).result()
    thread = threading.Thread(target=obs.log.carry(log.info), args=("from a thread",))
    thread.start()
    thread.join()


@app.get("/out")
async def out():
    return obs.log.trace_headers()


@app.get("/kept/{count}")
async def kept(count: int):
    for number in range(count):
        obs.log.audit("changed", number=number)
        log.info("changed %d", number)


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    log.info("said %s", await socket.receive_text())
    await socket.close()


obs = instrument(app, logs={"service": "shop", "response_header": "traceparent"}, skip=("/skipped",))


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]))

"""The demo SaaS: sign-ups, products, subscriptions, AI summaries, live updates and an invoice job.

It is made for several workers: `python -m uvicorn examples.app:app --workers 4`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Path,
    Request,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import JSONResponse
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from examples import faults, seed
from examples.serving import end_with_parent
from examples.settings import Settings
from examples.shop.accounts import Accounts
from examples.shop.billing import FRAUD_MODEL, Billing, Plan
from examples.shop.cache import Cache, open_redis
from examples.shop.catalogue import Catalogue
from examples.shop.database import DatabaseAwayError, open_pool
from examples.shop.flags import Flags
from examples.shop.invoices import Invoices
from examples.shop.summaries import AiAwayError, AiBusyError, observe, open_client, summarise
from exporter import instrument

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
log = logging.getLogger("examples.app")


class Shop:
    """What the routes work with."""

    accounts: Accounts
    billing: Billing
    catalogue: Catalogue
    flags: Flags
    invoices: Invoices
    ai: AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect, seed an empty database, run the invoice job beside the requests, and close all at the end."""
    settings = app.state.settings = Settings.from_environment()
    app.state.faults = faults.Faults(settings.faults)
    async with (
        end_with_parent(),
        await open_pool(settings.database_url) as pool,
        open_redis(settings.redis_url) as redis,
        open_client(settings.openai_base_url, settings.openai_api_key) as ai,
    ):
        obs.watch_pool("main", pool)
        obs.health.asyncpg("database", pool, critical=True)
        obs.health.redis("sessions", redis)
        obs.health.ai("openai")
        observe(obs.ai, settings.openai_base_url)
        await seed.prepare(pool)
        shop.accounts = Accounts(pool, Cache(redis, obs.cache("sessions"), seconds=60))
        shop.billing = Billing(pool, judged=partial(obs.ai.feedback, "fraud", model=FRAUD_MODEL))
        shop.catalogue = Catalogue(pool, Cache(redis, obs.cache("products"), seconds=10))
        shop.flags = Flags(pool)
        shop.invoices = Invoices(pool)
        shop.ai = ai
        jobs = asyncio.gather(invoice_job(settings.invoice_seconds), rollout_job())
        yield
        jobs.cancel()
        with suppress(asyncio.CancelledError):
            await jobs


app = FastAPI(title="Demo SaaS", lifespan=lifespan)
obs = instrument(app)

app.include_router(faults.router)
routes = APIRouter(dependencies=[Depends(faults.strike)])
shop = Shop()


class Credentials(BaseModel):
    """Who signs up or logs in; the demo has no passwords."""

    email: str = Field(max_length=200, pattern=r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$")


class Order(BaseModel):
    """A plan, and the test card that pays for it."""

    plan: Plan
    card: Literal["works", "declined"] = "works"


class Note(BaseModel):
    """A text to summarise."""

    text: str = Field(min_length=1, max_length=5_000)


async def signed_in(x_session: Annotated[str, Header(max_length=64)] = "") -> int:
    """Return the user id of the session in the header X-Session."""
    user_id = await shop.accounts.user_of(x_session) if x_session else None
    if user_id is None:
        raise HTTPException(401, "log in first; send the session in the header X-Session")
    return user_id


User = Annotated[int, Depends(signed_in)]


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers; whether its servers do is not asked here."""
    return {"status": "ok"}


@routes.get("/")
async def home() -> dict[str, Any]:
    """What this is."""
    return {"name": app.title, "products": "/products", "documentation": "/docs", "metrics": "/metrics"}


@routes.get("/products")
async def products() -> list[dict[str, Any]]:
    """All products."""
    return await shop.catalogue.all()


@routes.get("/products/{product_id}", dependencies=[Depends(faults.delay)])
async def product(product_id: Annotated[int, Path(ge=1, le=1_000_000)]) -> dict[str, Any]:
    """One product with its details."""
    if found := await shop.catalogue.one(product_id):
        return found
    raise HTTPException(404, "no such product")


@routes.post("/signup", status_code=201)
async def signup(who: Credentials) -> dict[str, Any]:
    """Open an account on the free plan, and a session."""
    if session := await shop.accounts.sign_up(who.email):
        return session
    raise HTTPException(409, "this address has an account")


@routes.post("/login")
async def login(who: Credentials) -> dict[str, Any]:
    """Open a session."""
    if session := await shop.accounts.log_in(who.email):
        return session
    raise HTTPException(401, "no account with this address")


@routes.get("/account/{user_id}")
async def account(user_id: int, user: User) -> dict[str, Any]:
    """The account of the session's owner."""
    if user_id != user:
        raise HTTPException(403, "not your account")
    return await shop.accounts.account(user)


@routes.post("/checkout", status_code=201)
async def checkout(order: Order, user: User) -> dict[str, str]:
    """Move to a plan and pay its first month."""
    if await shop.billing.check_out(user, order.plan, card_works=order.card == "works"):
        return {"plan": order.plan}
    raise HTTPException(402, "the card was declined")


@routes.delete("/subscription")
async def unsubscribe(user: User) -> dict[str, str]:
    """Cancel the subscription."""
    if await shop.billing.cancel(user):
        return {"status": "cancelled"}
    raise HTTPException(404, "no active subscription")


@routes.post("/mfa", status_code=201)
async def mfa(user: User) -> dict[str, str]:
    """Add a second factor to the account of the session's owner."""
    await shop.accounts.enrol(user)
    return {"status": "enrolled"}


@routes.post("/summaries")
async def summaries(note: Note, x_session: Annotated[str, Header(max_length=64)] = "") -> dict[str, str]:
    """Summarise a text by AI, also for visitors without an account."""
    summary = await summarise(shop.ai, obs.ai, note.text)
    with suppress(DatabaseAwayError):  # the summary is there; that it was used is worth no error
        if x_session and (user := await shop.accounts.user_of(x_session)):
            await shop.accounts.used("summaries", user)
    return {"summary": summary}


app.include_router(routes)


@app.websocket("/ws/updates")
async def updates(socket: WebSocket) -> None:
    """The time, once a second, until the visitor leaves."""
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_json({"time": time.time()})
            with suppress(TimeoutError):
                message = await asyncio.wait_for(socket.receive(), timeout=1)
                if message["type"] == "websocket.disconnect":
                    return


@obs.workflow("invoice_sync")
async def sync_invoices(run: int) -> None:
    """Send an invoice for every payment that has none."""
    with obs.step("fetch"):
        payments = await shop.invoices.fetch()
    with obs.step("render"):
        invoices = shop.invoices.render(payments)
    with obs.step("send"):
        await shop.invoices.send(invoices, run)


async def invoice_job(seconds: float) -> None:
    """Run the invoice workflow for ever, in one of the workers each time; the next run tries what failed."""
    while True:
        try:
            if run := await shop.invoices.claim(seconds):
                await sync_invoices(run)
        except Exception as error:  # whatever it was, it must not end the job
            log.warning("invoice_sync failed: %s: %s", type(error).__name__, error)
        await asyncio.sleep(seconds)


async def rollout_job(seconds: float = 60.0) -> None:
    """Roll the new checkout out by and by, for ever, in one of the workers each time."""
    while True:
        with suppress(DatabaseAwayError):  # the next step is soon enough
            await shop.flags.advance(seconds)
        await asyncio.sleep(seconds)


@app.exception_handler(DatabaseAwayError)
@app.exception_handler(AiAwayError)
async def away(request: Request, error: Exception) -> JSONResponse:
    """A server that we need is away: say so, and that it is worth a second try."""
    log.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    return JSONResponse({"detail": type(error).__doc__}, 503, headers={"Retry-After": "5"})


@app.exception_handler(AiBusyError)
async def busy(request: Request, error: Exception) -> JSONResponse:
    """The AI service's limit is our visitors' limit."""
    return JSONResponse({"detail": AiBusyError.__doc__}, 429, headers={"Retry-After": "5"})

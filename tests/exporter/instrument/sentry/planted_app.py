"""An application that puts what is planted wherever an application can put it; run as a program."""

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import urllib.request

import httpx
import sentry_sdk
import sqlalchemy
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration

from exporter import instrument
from exporter.instrument import sentry
from tests.exporter.instrument.sentry import planted

engine = sqlalchemy.create_engine(
    "sqlite://", poolclass=sqlalchemy.pool.StaticPool, connect_args={"check_same_thread": False}
)
log = logging.getLogger("shop")
router = APIRouter(prefix="/shop")


class PaymentRefusedError(Exception):
    """Raised by the application itself."""


def speak() -> None:
    """Say it in all words but exceptions."""
    sentry.set_user_context("7", email=planted.email("user"), username=planted.password("user"))
    sentry_sdk.set_tag("customer", planted.email("tag"))
    sentry_sdk.set_tag("note", planted.all_of("tag"))
    sentry_sdk.set_context(
        "customer", {"email": planted.email("context"), "password": planted.password("context")}
    )
    sentry_sdk.set_extra("card", planted.CARD)
    sentry_sdk.set_extra("form", {"api_key": planted.password("extra"), "note": planted.all_of("extra")})
    sentry_sdk.add_breadcrumb(
        category="auth", message=planted.all_of("breadcrumb"), data={"token": planted.password("breadcrumb")}
    )
    log.info("signed in %s with password=%s", planted.email("log"), planted.password("log"))
    log.warning("told: %s", planted.all_of("log"), extra={"card_number": planted.CARD})
    sentry_sdk.metrics.count("orders", 1, attributes={"who": planted.email("metric")})


def ask_database() -> None:
    """Literals and parameters, and an error that quotes both."""
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"select '{planted.email('sql')}', '{planted.password('sql')}'"))
        connection.execute(
            sqlalchemy.text("select :a, :b"), {"a": planted.email("sql"), "b": planted.password("sql")}
        )


def break_database() -> None:
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text(f"select * from nowhere where a = '{planted.password('sql')}' and b = :b"),
            {"b": planted.password("sql")},
        )


def ask_others(url: str) -> None:
    address = (
        f"{url}/others/{planted.email('outgoing')}?token={planted.password('outgoing')}&q={planted.CARD}"
    )
    httpx.get(address)
    urllib.request.urlopen(address.replace(" ", "%20"), timeout=5).close()
    logging.getLogger("httpcore").info("again %s", address)


def spans() -> None:
    if sentry_sdk.get_client().options["trace_lifecycle"] == "stream":
        attributes = {"note": planted.all_of("span"), "password": planted.password("span")}
        with sentry_sdk.traces.start_span(name=planted.all_of("span"), attributes=attributes):
            pass
        attributes = {"sentry.op": "gen_ai.chat", "gen_ai.request.messages": planted.password("prompt")}
        with sentry_sdk.traces.start_span(name="chat", attributes=attributes):
            pass
        return
    with sentry_sdk.start_span(op="work", name=planted.all_of("span")) as span:
        span.set_data("note", planted.all_of("span"))
        span.set_data("password", planted.password("span"))
    with sentry_sdk.start_span(op="gen_ai.chat", name="chat") as span:
        span.set_data("gen_ai.request.messages", json.dumps([{"content": planted.password("prompt")}]))
        span.set_data("gen_ai.usage.input_tokens", 17)


@router.post("/orders/{customer}/{secret}")
async def order(customer: str, secret: str, request: Request) -> None:
    form = await request.json()
    password, everything = planted.password("local"), planted.all_of("local")
    speak()
    spans()
    ask_database()
    await asyncio.to_thread(ask_others, os.environ["OTHERS"])
    sentry_sdk.get_current_scope().add_attachment(
        bytes=planted.all_of("attachment").encode(), filename="form.txt"
    )
    try:
        break_database()
    except sqlalchemy.exc.OperationalError as error:
        sentry.capture_exception_with_context(
            error,
            user_id=7,
            operation="load",
            email=planted.email("context"),
            token=planted.password("context"),
        )
    log.error("no order for %s, password=%s", planted.email("log"), planted.password("log"))
    try:
        raise KeyError(planted.all_of("cause"))
    except KeyError as error:
        raise PaymentRefusedError(
            f"{planted.all_of('message')} {len(form)} {len(password + everything)}"
        ) from error


@router.get("/fine/{customer}")
def fine(customer: str) -> PlainTextResponse:
    speak()
    spans()
    ask_database()
    return PlainTextResponse("fine")


@router.get("/fail/{what}")
def fail(what: str) -> None:
    errors = {
        "timeout": TimeoutError("slow"),
        "database": sqlalchemy.exc.InterfaceError("s", None, Exception("gone")),
        "payment": PaymentRefusedError("no"),
        "value": ValueError("odd"),
    }
    raise errors[what]


@router.get("/lost")
def lost() -> None:
    try:
        raise HTTPException(404, "no such thing")
    except HTTPException as error:
        sentry.capture_exception_with_context(error)
        raise


@router.get("/named")
def named() -> None:
    sentry.set_transaction_context("orders.import", source="sftp")
    raise ValueError("in named work")


def health_check() -> None:
    raise ValueError("in a health check")


def flush() -> JSONResponse:
    """Send all that waits, the kinds that no request makes among it."""
    client = sentry_sdk.get_client()
    # The report of losses that is due rides along with the next envelope, behind the gate.
    client.transport.record_lost_event(planted.email("message"), "error")
    client.transport._last_client_report_sent = 0
    sentry_sdk.crons.capture_checkin(monitor_slug=planted.email("checkin"), status="ok")
    person = {"sid": "0" * 32, "did": planted.email("session"), "status": "exited", "errors": 0}
    person["attrs"] = {"ip_address": "203.0.113.7", "user_agent": planted.all_of("session"), "release": "r"}
    items = [
        Item(PayloadRef(json=person), type="session"),
        Item(PayloadRef(json={"message": planted.all_of("message")}), type="unheard_of"),
        Item(planted.all_of("attachment"), type="attachment", filename=planted.email("attachment")),
        Item(PayloadRef(json={"message": planted.all_of("message"), "name": "x"}), type="feedback"),
    ]
    headers = {"trace": {"trace_id": "0" * 32, "transaction": planted.email("baggage")}}
    client.transport.capture_envelope(Envelope(headers=headers, items=items))
    sentry_sdk.flush(5)
    return JSONResponse({**sentry.health(), "delivery": sentry.delivery(), "policy": sentry.policy()})


def bare() -> None:
    """Break the gate: what comes is what goes. With this, the tests must fail."""
    from exporter.instrument.sentry import _gate

    _gate.Gate.items = lambda self, given: given
    _gate.Gate.headers = lambda self, given: dict(given)


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(router, prefix="/api")
    app.get("/health")(health_check)
    app.post("/flush")(flush)
    app.post("/bare")(bare)
    inner = FastAPI()
    inner.get("/things/{number}")(lambda number: 1 / 0)
    app.mount("/inner", inner)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    parser.add_argument("--options", type=json.loads, default={})
    parser.add_argument("argument", nargs="?")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    app = application()
    # Its frameworks come by themselves; importing all else that is installed takes seconds.
    mine = [SqlalchemyIntegration(), HttpxIntegration()]
    sdk = {"auto_enabling_integrations": False, "integrations": mine}
    observer = instrument(app, sentry={"sdk": sdk, **options.options})
    server = uvicorn.Server(uvicorn.Config(app, log_level="info"))
    server.run(sockets=[socket.socket(fileno=options.fd)])
    observer.uninstrument()

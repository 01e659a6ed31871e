"""Where the demo's alerts arrive: takes Alertmanager's webhooks and shows the last ones on a page."""

from collections import deque
from datetime import UTC, datetime
from html import escape
from typing import Annotated

from fastapi import FastAPI, Path
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from examples.serving import serve

_KEPT = 500


class Alert(BaseModel):
    """One alert of a webhook, by Alertmanager's field names."""

    status: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815 - the wire's own name
    endsAt: str = ""  # noqa: N815 - the wire's own name
    fingerprint: str = ""


class Webhook(BaseModel):
    """What Alertmanager posts: a group of alerts."""

    alerts: list[Alert] = Field(max_length=10_000)


class Arrived(Alert):
    """An alert, with where and when it arrived."""

    receiver: str
    arrived: datetime


def make() -> FastAPI:
    """Return the receiver as an application."""
    app = FastAPI(title="Alert receiver")
    kept: deque[Arrived] = deque(maxlen=_KEPT)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/notify/{receiver}")
    async def notify(receiver: Annotated[str, Path(max_length=100)], webhook: Webhook) -> dict[str, int]:
        now = datetime.now(UTC)
        for alert in webhook.alerts:
            kept.appendleft(Arrived(**alert.model_dump(), receiver=receiver, arrived=now))
        return {"kept": len(webhook.alerts)}

    @app.get("/alerts")
    async def alerts() -> list[Arrived]:
        """The last alerts, newest first."""
        return list(kept)

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        return _page(kept)

    return app


def _page(kept: deque[Arrived]) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(text)}</td>"
            for text in (
                f"{alert.arrived:%H:%M:%S}",
                alert.receiver,
                alert.status,
                alert.labels.get("priority", ""),
                alert.labels.get("alertname", ""),
                alert.annotations.get("summary", ""),
            )
        )
        + "</tr>"
        for alert in kept
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Alerts</title>
<style>body {{ font: 1em sans-serif; margin: 2em }} td, th {{ padding: .3em 1em; text-align: left }}</style>
</head><body><h1>Alerts</h1><p>{len(kept)} of the last {_KEPT}, newest first; times in UTC.</p>
<table><tr><th>time</th><th>receiver</th><th>status</th><th>priority</th><th>alert</th><th>summary</th></tr>
{rows or '<tr><td colspan="6">Nothing has arrived yet.</td></tr>'}
</table></body></html>
"""


if __name__ == "__main__":
    serve(make(), "examples.receiver", port=8002)

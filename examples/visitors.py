"""What visitors of the demo SaaS do, and how often."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from examples.seed import DAMAGED_PRODUCT

# Of 1000 visits. A few go wrong by the visitor's fault (4xx), one by ours (the damaged product's 500).
MIX = {
    "product": 357,
    "products": 230,
    "account": 150,
    "home": 78,
    "login": 50,
    "summary": 35,
    "signup": 25,
    "checkout": 20,
    "updates": 10,
    "lost": 10,
    "gone": 8,
    "mistyped": 6,
    "stranger": 6,
    "mfa": 4,
    "forgotten": 3,
    "declined": 3,
    "cancel": 3,
    "batch": 1,
    "damaged": 1,
}
_PRODUCTS = [number for number in range(1, 25) if number != DAMAGED_PRODUCT]
_KNOWN = 50  # accounts that the visitors have opened and come back to
_WATCH_SECONDS = 20.0  # at most, on the updates page
_NOTE = "Monday: moved the invoices to the new mail service. Tuesday: two customers asked for team plans. "


class Visitors:
    """Visits of any kind. Failures are counted, never raised."""

    def __init__(self, client: httpx.AsyncClient, chance: random.Random, ended: Counter[str]) -> None:
        self._client = client
        self._chance = chance
        self._ended = ended
        self._accounts: list[dict[str, Any]] = []
        self._run = random.SystemRandom().getrandbits(32)  # addresses of two runs never meet
        self._number = 0

    async def visit(self, kind: str) -> None:
        """Make one visit of a kind named in `MIX`."""
        try:
            await getattr(self, f"_{kind}")()
        except (httpx.HTTPError, WebSocketException, OSError) as error:
            self._ended[type(error).__name__] += 1

    async def _send(self, method: str, path: str, **what: Any) -> httpx.Response:
        answer = await self._client.request(method, path, **what)
        self._ended[f"{answer.status_code // 100}xx"] += 1
        return answer

    async def _home(self) -> None:
        await self._send("GET", "/")

    async def _products(self) -> None:
        await self._send("GET", "/products")

    async def _product(self) -> None:
        # The first ones are read most.
        number = _PRODUCTS[int(len(_PRODUCTS) * self._chance.random() ** 2)]
        await self._send("GET", f"/products/{number}")

    async def _gone(self) -> None:
        await self._send("GET", "/products/999")

    async def _damaged(self) -> None:
        await self._send("GET", f"/products/{DAMAGED_PRODUCT}")

    async def _lost(self) -> None:
        await self._send("GET", self._chance.choice(("/wp-login.php", "/.env", "/product", "/favicon.ico")))

    async def _mistyped(self) -> None:
        await self._send("POST", "/signup", json={"email": "no address"})

    async def _signup(self) -> dict[str, Any] | None:
        self._number += 1
        email = f"visitor-{self._run}-{self._number}@example.com"
        answer = await self._send("POST", "/signup", json={"email": email})
        if answer.status_code != 201:
            return None
        account = {"email": email, **answer.json()}
        self._accounts.append(account)
        del self._accounts[:-_KNOWN]
        return account

    async def _known(self) -> dict[str, Any] | None:
        return self._chance.choice(self._accounts) if self._accounts else await self._signup()

    async def _login(self) -> None:
        if account := await self._known():
            await self._send("POST", "/login", json={"email": account["email"]})

    async def _stranger(self) -> None:
        email = f"stranger-{self._chance.randrange(9)}@example.com"
        await self._send("POST", "/login", json={"email": email})

    async def _forgotten(self) -> None:
        await self._send("GET", "/account/1", headers={"X-Session": "a session of the day before yesterday"})

    async def _mfa(self) -> None:
        if account := await self._known():
            await self._send("POST", "/mfa", headers=_session(account))

    async def _account(self) -> None:
        if account := await self._known():
            await self._send("GET", f"/account/{account['user_id']}", headers=_session(account))

    async def _checkout(self, card: str = "works") -> None:
        if account := await self._known():
            plan = self._chance.choices(("pro", "team"), (3, 1))[0]
            order = {"plan": plan, "card": card}
            await self._send("POST", "/checkout", json=order, headers=_session(account))

    async def _declined(self) -> None:
        await self._checkout(card="declined")

    async def _cancel(self) -> None:
        if account := await self._known():
            await self._send("DELETE", "/subscription", headers=_session(account))

    async def _summary(self) -> None:
        text = _NOTE * self._chance.randint(1, 6)
        account = self._chance.choice(self._accounts) if self._accounts else None
        headers = _session(account) if account else {}
        await self._send("POST", "/summaries", json={"text": text}, headers=headers)

    async def _batch(self) -> None:
        # More at once than the AI service's limit lets through.
        await asyncio.gather(*(self._summary() for _ in range(12)))

    async def _updates(self) -> None:
        url = str(self._client.base_url.copy_with(scheme="ws")).rstrip("/")
        leaves_after = self._chance.uniform(1, _WATCH_SECONDS)
        async with connect(f"{url}/ws/updates", proxy=None) as socket:
            for _ in range(int(leaves_after)):
                await socket.recv()
        self._ended["WebSocket"] += 1


def _session(account: dict[str, Any]) -> dict[str, str]:
    return {"X-Session": account["session"]}

"""Who a request is from: users with bcrypt hashes, bearer tokens, and how many requests come in."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import bcrypt

# As long as a random token should be at least: 22 characters of base64 are 128 bits.
TOKEN_LENGTH = 22

# bcrypt reads no more of a password; htpasswd and the other exporters cut it there.
_MOST_BYTES = 72
# So many wrong passwords are remembered, for a client that tries the same again and again.
_MOST_WRONG = 100
# So many hashes may wait: each takes tens of milliseconds, and one is computed at a time.
_MOST_WAITING = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class BusyError(Exception):
    """Too many unknown passwords come in at once."""


class Passwords:
    """Users and their hashes. A right password costs its hash once; after that a digest of it is known."""

    def __init__(self, users: Mapping[str, str], pool: Executor) -> None:
        self._pool = pool
        self._users = {name: value.encode() for name, value in users.items()}
        # A user who is not there takes as long as the most costly one.
        cost = max((int(value[4:6]) for value in users.values()), default=10)
        self._nobody = b"$2b$%02d$" % cost + b"." * 53
        self._salt = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._waiting = 0

    def __bool__(self) -> bool:
        return bool(self._users)

    async def right(self, user: str, password: bytes) -> bool:
        """Whether the user is one of ours with this password. Raises BusyError."""
        hashed = self._users.get(user)
        digest = hmac.digest(self._salt, _framed(user.encode(), hashed or b"", password), hashlib.sha256)
        known = self._right.get(user)
        if known is not None and hmac.compare_digest(known, digest):
            return True
        if digest in self._wrong:
            self._wrong.move_to_end(digest)
            return False
        if self._waiting >= _MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            equal = await loop.run_in_executor(self._pool, _equal, password, hashed or self._nobody)
        finally:
            self._waiting -= 1
        if equal and hashed is not None:
            self._right[user] = digest
            return True
        self._wrong[digest] = None
        if len(self._wrong) > _MOST_WRONG:
            self._wrong.popitem(last=False)
        return False


class Tokens:
    """Bearer tokens, each as good as the others: two in the file are the old and the new one."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [hashlib.sha256(token.encode()).digest() for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def right(self, token: bytes) -> bool:
        """Whether this is one of them; takes equally long for every token."""
        digest = hashlib.sha256(token).digest()
        found = False
        for each in self._tokens:
            found |= hmac.compare_digest(digest, each)
        return found


def parse_tokens(text: str) -> list[str]:
    """Return the tokens of a file, one a line. Raises ValueError saying what to do."""
    tokens = text.split()
    if not tokens:
        raise ValueError("has no token; make one with: openssl rand -hex 32")
    for number, token in enumerate(tokens, 1):
        if len(token) < TOKEN_LENGTH or not _TOKEN.fullmatch(token):
            raise ValueError(
                f"token {number} must be at least {TOKEN_LENGTH} letters, digits or -._~+/ ; "
                "make one with: openssl rand -hex 32"
            )
    return tokens


class Bucket:
    """A token bucket: one request every `interval` seconds, and `burst` at once."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._burst, self._clock = interval, burst, clock
        self._level, self._seen = float(burst), clock()

    def let_in(self) -> bool:
        """Whether one more request may come in now."""
        if not self._interval:
            return True
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._seen) / self._interval)
        self._seen = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


def credentials(header: bytes) -> tuple[str, str, bytes]:
    """Return scheme, user and secret of an Authorization header; all empty for one that makes no sense."""
    scheme, _, rest = header.partition(b" ")
    kind, rest = scheme.lower().decode("latin-1"), rest.strip()
    if kind == "bearer":
        return kind, "", rest
    if kind != "basic":
        return "", "", b""
    try:
        user, colon, password = base64.b64decode(rest, validate=True).partition(b":")
        return (kind, user.decode(), password) if colon else ("", "", b"")
    except (binascii.Error, ValueError):
        return "", "", b""


def _equal(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_MOST_BYTES], hashed)
    except ValueError:  # a password that bcrypt does not take
        return False


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

"""What the demo reads from the environment; every default is a server on this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

# The demo never falls back to the real OpenAI: without OPENAI_BASE_URL it speaks to the local stand-in.
_AI_STAND_IN = "http://127.0.0.1:8001/v1"


@dataclass(frozen=True)
class Settings:
    """Settings of the demo application."""

    database_url: str = field(default="postgresql://127.0.0.1:5432/demo", repr=False)
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    openai_base_url: str = _AI_STAND_IN
    openai_api_key: str = field(default="demo", repr=False)
    faults: Path | None = None
    invoice_seconds: float = 10.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings; DATABASE_URL_FILE names a file that holds DATABASE_URL, and so on.

        Raises ValueError for a number that is none or a folder that is not named from the root on, and
        OSError for a file that cannot be read.
        """
        chosen = {name: text for name in _TEXTS if (text := _text(environ, name.upper()))}
        return cls(
            **chosen,
            faults=_folder(environ, "DEMO_FAULTS"),
            invoice_seconds=float(environ.get("DEMO_INVOICE_SECONDS", cls.invoice_seconds)),
        )


_TEXTS = ("database_url", "redis_url", "openai_base_url", "openai_api_key")


def _text(environ: Mapping[str, str], variable: str) -> str:
    if path := environ.get(f"{variable}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(variable, "")


def _folder(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable, "")
    if text and not text.startswith("/"):
        raise ValueError(f"{variable}={text}: name a folder that all workers share, as /tmp/faults")
    return Path(text) if text else None


def place(url: str) -> str:
    """Return where a URL points, host, port and path, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine itself; a name other than localhost is never asked for."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:  # a name, as 127.example.com
        return False

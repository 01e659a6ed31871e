"""What a request and the head of its reply tell, as httpx and the SDKs hold them."""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from exporter.instrument.ai import _limits

_OTHERS = ("content-type", "content-encoding", "x-request-id", "request-id", "apim-request-id")
_HEADERS = {name.encode(): name for name in (*_limits.NAMES, *_OTHERS)}
_LONGEST_REQUEST = 256_000  # bytes that are parsed to learn the model, where no SDK tells it


def headers_of(response: Any) -> dict[str, str]:
    """Return the headers that we read, in lower case. One walk: each look-up by httpx is one."""
    found = {}
    for name, value in response.headers.raw:
        known = _HEADERS.get(name) or _HEADERS.get(name.lower())
        if known is not None:
            found[known] = value.decode("latin-1")
    return found


def model_asked_for(options: Any, request: Any) -> str:
    """Return the model that a request asks for; "" where its body does not tell without a cost."""
    body = getattr(options, "json_data", None)
    if not isinstance(body, Mapping):
        if "json" not in request.headers.get("content-type", ""):
            return ""
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _LONGEST_REQUEST:
            return ""
        body = json.loads(request.content)
    model = body.get("model") if isinstance(body, Mapping) else None
    return model if isinstance(model, str) else ""


def unpacker(encoding: str) -> Callable[[bytes], bytes] | None:
    """Return what decodes a reply that is read raw; None for what the standard library does not know."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return lambda chunk: chunk
    if encoding == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    return zlib.decompressobj().decompress if encoding == "deflate" else None

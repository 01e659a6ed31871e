"""Errors and transactions: what of them may be told."""

from collections.abc import Mapping
from typing import Any

from exporter.instrument.sentry import _words
from exporter.instrument.sentry._attributes import UNMATCHED, name_of, span_text, user
from exporter.instrument.sentry._clean import Cleaner
from exporter.instrument.sentry._words import IDS

# Handled by themselves, or not told at all.
_APART = frozenset(
    {
        "_meta",  # what was cut off where: of no use once the texts have changed
        "breadcrumbs",
        "contexts",
        "exception",
        "logentry",
        "modules",
        "release",
        "request",
        "spans",
        "stacktrace",
        "tags",
        "threads",
        "transaction",
        "user",
    }
)
_PLACE = frozenset({"filename", "abs_path", "function", "module", "lineno", "colno", "in_app"})
_LINES = frozenset({"pre_context", "context_line", "post_context"})
_ROOT_DATA = frozenset({"url", "url.full", "url.path", "http.url", "http.target"})


def event(clean: Cleaner, given: Mapping[str, Any], *, variables: bool) -> dict[str, Any]:
    """Return an error or a transaction without private data; `variables` keeps locals, scrubbed."""
    rest = {name: value for name, value in given.items() if name not in _APART}
    cleaned: dict[str, Any] = clean.fields(rest, keep=IDS)
    source = str((given.get("transaction_info") or {}).get("source") or "")
    name = name_of(clean, str(given.get("transaction") or ""), source) if given.get("transaction") else ""
    if name:
        cleaned["transaction"] = name
    if given.get("release"):
        cleaned["release"] = clean.text(str(given["release"]))
    if given.get("user"):
        cleaned["user"] = user(clean, given["user"])
    if given.get("tags"):
        cleaned["tags"] = clean.value(given["tags"])
    if given.get("contexts"):
        cleaned["contexts"] = _contexts(clean, given["contexts"], name)
    if given.get("request"):
        cleaned["request"] = _request(clean, given["request"], name or UNMATCHED)
    if given.get("logentry"):
        entry = given["logentry"]
        cleaned["logentry"] = clean.fields({k: v for k, v in entry.items() if k != "params"})
    if given.get("modules"):
        pairs = given["modules"].items()
        cleaned["modules"] = {k: v for k, v in pairs if _words.is_package(k) and _words.is_package(v)}
    if given.get("spans"):
        cleaned["spans"] = [_span(clean, each) for each in given["spans"]]
    if given.get("breadcrumbs"):
        crumbs = given["breadcrumbs"]
        listed = crumbs.get("values") if isinstance(crumbs, Mapping) else crumbs
        told = [each for each in listed or () if each.get("category") not in _words.ACCESS_LOGGERS]
        cleaned["breadcrumbs"] = {"values": [_breadcrumb(clean, each) for each in told]}
    if given.get("stacktrace"):
        cleaned["stacktrace"] = _stack(clean, given["stacktrace"], variables)
    for key in ("exception", "threads"):
        if given.get(key):
            held = given[key]
            listed = held.get("values") if isinstance(held, Mapping) else held
            cleaned[key] = {"values": [_with_stack(clean, each, variables) for each in listed or ()]}
    return cleaned


def _contexts(clean: Cleaner, contexts: Mapping[str, Any], name: str) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for key, value in contexts.items():
        if isinstance(value, Mapping) and key in ("trace", "profile", "replay"):
            cleaned[key] = _trace(clean, value, name)
        else:
            cleaned[clean.text(key)] = clean.field(key, value)
    return cleaned


def _trace(clean: Cleaner, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the context of a trace, whose data are those of the root span."""
    cleaned: dict[str, Any] = clean.fields(given, keep=IDS)
    if given.get("description"):
        cleaned["description"] = name
    data = given.get("data")
    if isinstance(data, Mapping) and not clean.personal and str(given.get("op", "")).endswith(".server"):
        for key in _ROOT_DATA.intersection(data):
            cleaned["data"][key] = clean.routed(str(data[key]), name or UNMATCHED)
    return cleaned


def _request(clean: Cleaner, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return method, address by template and harmless headers; in personal-data mode all, scrubbed."""
    if clean.personal:
        rest = {key: value for key, value in given.items() if key != "url"}
        cleaned: dict[str, Any] = clean.fields(rest)
        if given.get("url"):
            cleaned["url"] = clean.url(str(given["url"]))
        return cleaned
    cleaned = {}
    if given.get("method"):
        cleaned["method"] = clean.text(str(given["method"]))
    if given.get("url"):
        cleaned["url"] = clean.routed(str(given["url"]), name)
    headers = given.get("headers") or {}
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    told = {key: value for key, value in pairs if str(key).lower() in _words.HEADERS}
    if told:
        cleaned["headers"] = clean.fields(told)
    return cleaned


def _span(clean: Cleaner, given: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in given.items() if name != "description"}
    cleaned: dict[str, Any] = clean.fields(rest, keep=IDS)
    if given.get("description"):
        cleaned["description"] = span_text(clean, str(given.get("op") or ""), str(given["description"]))
    return cleaned


def _breadcrumb(clean: Cleaner, given: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in given.items() if name != "message"}
    cleaned: dict[str, Any] = clean.fields(rest, keep=IDS)
    if given.get("message"):
        op = "db" if given.get("category") in ("query", "db") else ""
        cleaned["message"] = span_text(clean, op, str(given["message"]))
    return cleaned


def _with_stack(clean: Cleaner, given: Mapping[str, Any], variables: bool) -> dict[str, Any]:
    """Return an exception or a thread."""
    stacks = {name for name in ("stacktrace", "raw_stacktrace") if given.get(name)}
    cleaned: dict[str, Any] = clean.fields({k: v for k, v in given.items() if k not in stacks}, keep=IDS)
    for name in stacks:
        cleaned[name] = _stack(clean, given[name], variables)
    return cleaned


def _stack(clean: Cleaner, given: Mapping[str, Any], variables: bool) -> dict[str, Any]:
    return {"frames": [_frame(clean, each, variables) for each in given.get("frames") or ()]}


def _frame(clean: Cleaner, given: Mapping[str, Any], variables: bool) -> dict[str, Any]:
    cleaned: dict[str, Any] = {}
    for name, value in given.items():
        if name in _PLACE:
            cleaned[name] = clean.known(value) if isinstance(value, str) else value
        elif name in _LINES and isinstance(value, str):
            cleaned[name] = clean.known(value)
        elif name in _LINES:
            cleaned[name] = [clean.known(str(line)) for line in value or ()]
        elif name != "vars" or (variables and given.get("in_app")):  # libraries hold what they were given
            cleaned[clean.text(name)] = clean.field(name, value)
    return cleaned

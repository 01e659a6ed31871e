"""Streamed spans, log lines and metrics: batches of records with typed attributes."""

from collections.abc import Mapping
from typing import Any

from exporter.instrument.sentry._clean import REDACTED, Cleaner
from exporter.instrument.sentry._words import ACCESS_LOGGERS, IDS

UNMATCHED = "unmatched"
_NAME, _SOURCE = "sentry.segment.name", "sentry.segment.name.source"
_RAW_ADDRESS = frozenset({"url.full", "url.path", "http.url", "http.target", "url"})
# Users, as attributes: `user.id` and such.
USER_FIELDS = frozenset({"id", "email", "ip_address", "geo", "username", "name", "full_name"})


def batch(clean: Cleaner, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with all its records cleaned."""
    rest = {name: value for name, value in payload.items() if name != "items"}
    told = [each for each in payload["items"] if _logger(each) not in ACCESS_LOGGERS]
    return {**clean.fields(rest, keep=IDS), "items": [_record(clean, each) for each in told]}


def span_text(clean: Cleaner, op: str, text: str) -> str:
    """Return the description of a span, which is SQL, an address or a text according to what it does."""
    if op == "db" or op.startswith(("db.sql", "db.cursor")):
        return clean.sql(text)
    verb, blank, rest = text.partition(" ")
    if blank and "://" in rest:
        return clean.message(f"{verb} {clean.url(rest)}")
    if "://" in text:
        return clean.message(clean.url(text))
    return clean.message(text)


def name_of(clean: Cleaner, name: str, source: str) -> str:
    """Return the name of a transaction: a raw address is none, nor is what the SDK says while it has none."""
    nameless = source == "url" or "://" in name or (name.startswith("generic ") and name.endswith(" request"))
    return UNMATCHED if nameless else clean.text(name)


def user(clean: Cleaner, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user by id, and that more was known; in personal-data mode the rest, scrubbed."""
    cleaned = {}
    for name, value in given.items():
        if name == "id" or name not in USER_FIELDS or value is None:
            cleaned[clean.text(name)] = clean.field(name, value)
        elif name == "email":
            cleaned[name] = "[email]"
        elif clean.personal and name != "ip_address":
            cleaned[name] = clean.value(value)
        elif name in ("username", "name", "full_name"):
            cleaned[name] = REDACTED
    return cleaned


def _logger(record: Mapping[str, Any]) -> Any:
    return _value((record.get("attributes") or {}).get("logger.name"))


def _record(clean: Cleaner, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return one span, line or metric."""
    attributes = dict(record.get("attributes") or {})
    rest = {name: value for name, value in record.items() if name not in ("attributes", "name", "body")}
    cleaned: dict[str, Any] = clean.fields(rest, keep=IDS)
    op = str(_value(attributes.get("sentry.op")) or "")
    name = str(record.get("name") or "")
    if "name" in record:
        own = record.get("is_segment") or op.endswith(".server")
        source = str(_value(attributes.get(_SOURCE)) or "")
        cleaned["name"] = name = name_of(clean, name, source) if own else span_text(clean, op, name)
    if "body" in record:
        cleaned["body"] = clean.value(record["body"])
    if attributes:
        cleaned["attributes"] = _attributes(clean, attributes, op, name)
    return cleaned


def _attributes(clean: Cleaner, given: Mapping[str, Any], op: str, name: str) -> dict[str, Any]:
    people = {key[5:]: _value(each) for key, each in given.items() if key.startswith("user.")}
    values = {key: _value(each) for key, each in given.items() if not key.startswith("user.")}
    cleaned: dict[str, Any] = clean.fields(values, keep=IDS)
    cleaned |= {f"user.{key}": value for key, value in user(clean, people).items()}
    if _NAME in values:
        cleaned[_NAME] = name_of(clean, str(values[_NAME]), str(values.get(_SOURCE, "")))
    if op.endswith(".server") and not clean.personal:
        for key in _RAW_ADDRESS.intersection(values):
            cleaned[key] = clean.routed(str(values[key]), name)
    return {key: _typed(given.get(key), value) for key, value in cleaned.items()}


def _value(attribute: Any) -> Any:
    return attribute.get("value") if isinstance(attribute, Mapping) else attribute


def _typed(before: Any, value: Any) -> Any:
    """Return the attribute around a cleaned value: its type changes where a number became a text."""
    if before is not None and not isinstance(before, Mapping):
        return value
    unit = {name: before[name] for name in ("unit",) if name in before} if before else {}
    kinds = {bool: "boolean", int: "integer", float: "double", list: "array"}
    return {"value": value, "type": kinds.get(type(value), "string"), **unit}

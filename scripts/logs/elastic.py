"""Elasticsearch and OpenSearch: what is to be PUT where, so that each class is kept as long as it should."""

from typing import Any

from exporter.instrument.logs.classes import CLASSES
from exporter.instrument.logs.schema import FIELDS, Field
from scripts.logs.policy import Policy

Body = dict[str, Any]
Requests = dict[str, Body]  # by path; PUT in this order

# Above the built-in template for logs-*-* (100), below what is left to users.
_PRIORITY = 500
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
# An exception's parts, under `exception` or `error`.
_PARTS = ("type", "message", "stack_trace")


def elasticsearch(policy: Policy) -> Requests:
    """Templates whose data streams carry their retention themselves (Elasticsearch 8.14 and later)."""
    requests = _common(policy, search="elasticsearch")
    for name in CLASSES:
        template = _template(policy, name)
        template["template"]["lifecycle"] = {"data_retention": f"{policy.retention_days[name]}d"}
        requests[f"_index_template/{_name(policy, name)}"] = template
    return requests


def elasticsearch_ilm(policy: Policy) -> Requests:
    """The same by index lifecycle management, for older clusters or tiers of storage."""
    requests = _common(policy, search="elasticsearch")
    for name in CLASSES:
        rollover = {"max_age": f"{policy.rollover_days(name)}d", "max_primary_shard_size": "50gb"}
        phases = {
            "hot": {"actions": {"rollover": rollover}},
            # Counted from the rollover.
            "delete": {"min_age": f"{policy.retention_days[name]}d", "actions": {"delete": {}}},
        }
        requests[f"_ilm/policy/{_name(policy, name)}"] = {"policy": {"phases": phases}}
        template = _template(policy, name)
        template["template"]["settings"]["index.lifecycle.name"] = _name(policy, name)
        requests[f"_index_template/{_name(policy, name)}"] = template
    return requests


def opensearch(policy: Policy) -> Requests:
    """The same by OpenSearch's index state management (2.7 and later)."""
    requests = _common(policy, search="opensearch")
    for name in CLASSES:
        days, rollover = policy.retention_days[name], policy.rollover_days(name)
        after = {"state_name": "delete", "conditions": {"min_rollover_age": f"{days}d"}}
        actions = [{"rollover": {"min_index_age": f"{rollover}d", "min_primary_shard_size": "50gb"}}]
        states = [
            {"name": "hot", "actions": actions, "transitions": [after]},
            {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
        ]
        requests[f"_plugins/_ism/policies/{_name(policy, name)}"] = {
            "policy": {
                "description": f"Log lines of the class {name}: {days} days",
                "default_state": "hot",
                "states": states,
                "ism_template": [{"index_patterns": [policy.stream(name)], "priority": _PRIORITY}],
            }
        }
        requests[f"_index_template/{_name(policy, name)}"] = _template(policy, name)
    return requests


def _name(policy: Policy, log_class: str) -> str:
    return f"{policy.dataset}-{log_class}"


def _common(policy: Policy, search: str) -> Requests:
    mappings = f"_component_template/{policy.dataset}-mappings"
    return {
        f"_ingest/pipeline/{policy.dataset}": _pipeline(),
        mappings: {"template": {"settings": _settings(policy), "mappings": _mappings(policy, search)}},
    }


def _pipeline() -> Body:
    """Data streams need @timestamp; our flat schema calls it timestamp, and plain lines have none."""
    return {
        "description": "Gives every log line its @timestamp",
        "processors": [
            {"set": {"field": "@timestamp", "value": value, "override": False, "ignore_empty_value": True}}
            for value in ("{{{timestamp}}}", "{{{_ingest.timestamp}}}")
        ],
    }


def _settings(policy: Policy) -> Body:
    return {
        "index.default_pipeline": policy.dataset,
        # A field of the wrong kind is left out of the index; the line is kept.
        "index.mapping.ignore_malformed": True,
    }


def _template(policy: Policy, log_class: str) -> Body:
    return {
        "index_patterns": [policy.stream(log_class)],
        "data_stream": {},
        "priority": _PRIORITY,
        "composed_of": [f"{policy.dataset}-mappings"],
        "template": {"settings": {}},
    }


def _mappings(policy: Policy, search: str) -> Body:
    properties: Body = {"@timestamp": {"type": "date"}}
    ecs = policy.schema == "ecs"
    for field in FIELDS:
        here = field.ecs if ecs else field.name
        _place(properties, here, _type(field, search))
    for field in FIELDS:
        here, there = (field.ecs, field.name) if ecs else (field.name, field.ecs)
        # Milliseconds under a name for nanoseconds would be worse than no such name.
        if here == there or field.name == "duration_ms" or (not ecs and there == "@timestamp"):
            continue
        if field.kind == "exception":
            for part in _PARTS:
                _place(properties, f"{there}.{part}", {"type": "alias", "path": f"{here}.{part}"})
        elif field.name == "service":
            # A name cannot be a value and a branch: the flat name has a second one below it instead.
            if not ecs:
                properties["service"] = {**_KEYWORD, "fields": {"name": {"type": "keyword"}}}
        else:
            _place(properties, there, {"type": "alias", "path": here})
    # What nobody has declared is stored and not indexed, so that no line is refused for it.
    return {"dynamic": False, "properties": properties}


def _type(field: Field, search: str) -> Body:
    text = {"type": "match_only_text" if search == "elasticsearch" else "text"}
    if field.kind == "exception":
        return {"properties": {"type": _KEYWORD, "message": text, "stack_trace": text}}
    if field.kind == "object":
        # One field however many keys it has: applications cannot make the index burst, nor disagree on types.
        return {"type": "flattened" if search == "elasticsearch" else "flat_object"}
    kinds: dict[str, Body] = {
        "date": {"type": "date"},
        "keyword": _KEYWORD,
        "text": text,
        "number": {"type": "double"},
        "integer": {"type": "integer"},
    }
    return kinds[field.kind]


def _place(properties: Body, dotted: str, what: Body) -> None:
    """Put a field where its dotted name leads."""
    *branches, leaf = dotted.split(".")
    for branch in branches:
        properties = properties.setdefault(branch, {}).setdefault("properties", {})
    properties[leaf] = what

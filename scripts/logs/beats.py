"""Filebeat and Fluent Bit: from the files to Elasticsearch; Fluent Bit to Loki as well."""

from typing import Any
from urllib.parse import urlsplit

from scripts.logs.loki import LABELS, METADATA, written
from scripts.logs.policy import Policy

Config = dict[str, Any]


def filebeat(policy: Policy) -> Config:
    """Elastic's own shipper."""
    event = written(policy, "event_id")
    time = written(policy, "timestamp")
    processors: list[Config] = [
        # A line that is no JSON comes from a supervisor.
        {
            "add_fields": {
                "when": {"not": {"has_fields": ["log_class"]}},
                "target": "",
                "fields": {"log_class": "production"},
            }
        },
        # With an id, a line that is sent twice is kept once.
        {
            "copy_fields": {
                "fields": [{"from": event, "to": "@metadata._id"}],
                "fail_on_error": False,
                "ignore_missing": True,
            }
        },
        {"drop_fields": {"fields": ["agent", "ecs", "host", "input"], "ignore_missing": True}},
    ]
    if time != "@timestamp":
        layouts = ["2006-01-02T15:04:05.999999Z"]
        processors.insert(
            1, {"timestamp": {"field": time, "layouts": layouts, "ignore_missing": True, "timezone": "UTC"}}
        )
    return {
        "filebeat.inputs": [
            {
                "type": "filestream",
                "id": policy.dataset,
                "paths": [policy.files],
                "parsers": [{"ndjson": {"target": "", "overwrite_keys": True, "expand_keys": True}}],
                "message_max_bytes": 65_536,
            }
        ],
        "processors": processors,
        "output.elasticsearch": {
            "hosts": [policy.elasticsearch],
            "index": f"logs-{policy.dataset}.%{{[log_class]}}-{policy.namespace}",
        },
        # The templates are ours: python -m scripts.logs apply.
        "setup.template.enabled": False,
        "setup.ilm.enabled": False,
        # Lines wait on disk while Elasticsearch is away; and they wait in their files anyway.
        "queue.disk.max_size": "1GB",
        "logging.level": "warning",
    }


def fluent_bit_elasticsearch(policy: Policy) -> Config:
    """An output for each class, because the index of one output is fixed."""
    where = urlsplit(policy.elasticsearch)
    outputs = [
        {
            "name": "es",
            "match": f"line.{name}",
            "host": where.hostname,
            "port": where.port or 9200,
            "tls": "on" if where.scheme == "https" else "off",
            "index": policy.stream(name),
            "suppress_type_name": "on",
            "write_operation": "create",
            "id_key": written(policy, "event_id"),
            "retry_limit": "no_limits",
        }
        for name in policy.retention_days
    ]
    return _fluent_bit(policy, outputs)


def fluent_bit_loki(policy: Policy) -> Config:
    """All classes to one Loki."""
    where = urlsplit(policy.loki)

    def pairs(names: tuple[str, ...]) -> str:
        return ", ".join(
            f"{name}=$" + "".join(f"['{part}']" for part in [written(policy, name)]) for name in names
        )

    outputs = [
        {
            "name": "loki",
            "match": "line.*",
            "host": where.hostname,
            "port": where.port or 3100,
            "tls": "on" if where.scheme == "https" else "off",
            "labels": pairs(LABELS),
            "structured_metadata": pairs(METADATA),
            "retry_limit": "no_limits",
        }
    ]
    return _fluent_bit(policy, outputs)


def _fluent_bit(policy: Policy, outputs: list[Config]) -> Config:
    others = [name for name in policy.retention_days if name != "production"]
    rules = [f"$log_class ^{name}$ line.{name} false" for name in others]
    return {
        "service": {
            "flush": 1,
            "storage.path": "/var/lib/fluent-bit/queue",
            "storage.backlog.mem_limit": "16M",
        },
        "parsers": [
            {
                "name": "line",
                "format": "json",
                "time_key": written(policy, "timestamp"),
                "time_format": "%Y-%m-%dT%H:%M:%S.%LZ",
                "time_keep": True,
            }
        ],
        "pipeline": {
            "inputs": [
                {
                    "name": "tail",
                    "tag": "line.production",
                    "path": policy.files,
                    "parser": "line",
                    "db": "/var/lib/fluent-bit/files.db",
                    "read_from_head": True,
                    "buffer_chunk_size": "64k",
                    "buffer_max_size": "128k",
                    "storage.type": "filesystem",
                }
            ],
            "filters": [
                {
                    "name": "rewrite_tag",
                    "match": "line.production",
                    "rule": rule,
                    "emitter_name": f"to_{name}",
                }
                for name, rule in zip(others, rules, strict=True)
            ],
            "outputs": outputs,
        },
    }

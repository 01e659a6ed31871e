"""Vector: one source, and a file for each place that lines may go to."""

from typing import Any

from scripts.logs.loki import LABELS, METADATA, written
from scripts.logs.policy import Policy

Config = dict[str, Any]

# A line that is no JSON comes from a supervisor: it becomes a line of its own.
_PARSE = """\
parsed, error = parse_json(.message)
if error == null && is_object(parsed) {{
  . = object!(parsed)
}} else {{
  . = {{
    "{timestamp}": format_timestamp!(now(), format: "%+"),
    "{level}": "INFO",
    "log_class": "production",
    "{event_id}": uuid_v4(),
    "{message}": .message
  }}
}}
if !includes([{classes}], .log_class) {{
  .log_class = "production"
}}
"""
# Lines wait here while their receiver is away; then the files are read no further.
_BUFFER = {"type": "disk", "max_size": 2_147_483_648, "when_full": "block"}


def source(policy: Policy) -> Config:
    """Reads the files; goes with any of the sinks: `vector -c source.yaml -c loki.yaml`."""
    names = {name: written(policy, name) for name in ("timestamp", "level", "event_id", "message")}
    classes = ", ".join(f'"{name}"' for name in policy.retention_days)
    return {
        "data_dir": "/var/lib/vector",
        "sources": {
            "files": {
                "type": "file",
                "include": [policy.files],
                "max_line_bytes": 65_536,
                "read_from": "beginning",
            }
        },
        "transforms": {
            "lines": {
                "type": "remap",
                "inputs": ["files"],
                "source": _PARSE.format(classes=classes, **names),
            }
        },
    }


def elasticsearch(policy: Policy) -> Config:
    """To Elasticsearch, or OpenSearch, by class."""
    return _sink(
        "elasticsearch",
        {
            "type": "elasticsearch",
            "inputs": ["lines"],
            "endpoints": [policy.elasticsearch],
            "api_version": "v8",
            "mode": "bulk",
            # A data stream takes nothing else; with an id, a line that is sent twice is kept once.
            "bulk": {
                "action": "create",
                "index": f"logs-{policy.dataset}.{{{{ log_class }}}}-{policy.namespace}",
            },
            "id_key": written(policy, "event_id"),
        },
    )


def loki(policy: Policy) -> Config:
    """To Loki, with few labels."""

    def template(name: str) -> str:
        key = written(policy, name)
        return f"{{{{ {key if key.isidentifier() else _quoted(key)} }}}}"

    return _sink(
        "loki",
        {
            "type": "loki",
            "inputs": ["lines"],
            "endpoint": policy.loki,
            "encoding": {"codec": "json"},
            "labels": {name: template(name) for name in LABELS},
            "structured_metadata": {name: template(name) for name in METADATA},
        },
    )


def papertrail(policy: Policy) -> Config:
    """To Papertrail at PAPERTRAIL_HOST and PAPERTRAIL_PORT, which keeps lines as your plan there says."""
    return _sink(
        "papertrail",
        {
            "type": "papertrail",
            "inputs": ["lines"],
            "endpoint": "${PAPERTRAIL_HOST}:${PAPERTRAIL_PORT}",
            "process": policy.dataset,
            "tls": {"enabled": True},
            "encoding": {"codec": "json"},
        },
    )


def logtail(policy: Policy) -> Config:
    """To Logtail (Better Stack) by LOGTAIL_HOST and LOGTAIL_TOKEN, which keeps lines as your plan says."""
    time = written(policy, "timestamp")
    made = _sink(
        "logtail",
        {
            "type": "http",
            "inputs": ["timed"],
            "uri": "https://${LOGTAIL_HOST:-in.logs.betterstack.com}",
            "auth": {"strategy": "bearer", "token": "${LOGTAIL_TOKEN}"},
            "encoding": {"codec": "json"},
            "compression": "gzip",
        },
    )
    # The name under which it looks for the time.
    made["transforms"] = {"timed": {"type": "remap", "inputs": ["lines"], "source": f'.dt = ."{time}"\n'}}
    return made


def _sink(name: str, settings: Config) -> Config:
    return {"sinks": {name: {**settings, "buffer": _BUFFER, "acknowledgements": {"enabled": True}}}}


def _quoted(key: str) -> str:
    return f'"{key}"'

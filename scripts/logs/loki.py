"""Loki's own configuration, with the retention of each class, and the shipper that its makers recommend."""

from typing import Any

from exporter.instrument.logs.schema import FIELDS
from scripts.logs.policy import Policy

# Few values each. What has many (traces, users) goes into structured metadata, which makes no streams.
LABELS = ("service", "level", "log_class")
METADATA = ("trace_id", "span_id", "user_id", "endpoint", "event_id")


def written(policy: Policy, name: str) -> str:
    """Return the name that a field has in the lines."""
    return next(field.ecs if policy.schema == "ecs" else field.name for field in FIELDS if field.name == name)


def config(policy: Policy) -> dict[str, Any]:
    """A single Loki that deletes what is too old. By default Loki keeps everything for ever."""
    usual = "production"
    streams = [
        {"selector": f'{{log_class="{name}"}}', "priority": 1, "period": _hours(days)}
        for name, days in policy.retention_days.items()
        if name != usual
    ]
    return {
        "auth_enabled": False,
        "server": {"http_listen_port": 3100, "log_level": "warn"},
        "common": {
            "path_prefix": "/loki",
            "replication_factor": 1,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {"filesystem": {"chunks_directory": "/loki/chunks", "rules_directory": "/loki/rules"}},
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2025-01-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    # Retention works by day.
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "compactor": {
            "working_directory": "/loki/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "limits_config": {
            "retention_period": _hours(policy.retention_days[usual]),
            "retention_stream": streams,
            "allow_structured_metadata": True,
            "max_line_size": "64KB",
            # A shipper that was away sends old lines afterwards.
            "reject_old_samples_max_age": "168h",
        },
        "analytics": {"reporting_enabled": False},
    }


def alloy(policy: Policy) -> str:
    """Grafana Alloy: reads the files and sends each line with its labels."""
    extract = "".join(
        f'      {name:<9} = "{_path(written(policy, name))}",\n' for name in ("timestamp", *LABELS, *METADATA)
    )
    labels = "".join(f'      {name:<9} = "",\n' for name in LABELS)
    metadata = "".join(f'      {name:<9} = "",\n' for name in METADATA)
    return f"""\
local.file_match "lines" {{
  path_targets = [{{"__path__" = "{policy.files}"}}]
}}

loki.source.file "lines" {{
  targets       = local.file_match.lines.targets
  forward_to    = [loki.process.lines.receiver]
  tail_from_end = false
}}

loki.process "lines" {{
  // A line that is no JSON comes from a supervisor; it is kept as it is, with these labels.
  stage.static_labels {{
    values = {{
      log_class = "production",
      level     = "INFO",
    }}
  }}

  stage.json {{
    expressions = {{
{extract}    }}
  }}

  stage.timestamp {{
    source = "timestamp"
    format = "RFC3339Nano"
  }}

  stage.labels {{
    values = {{
{labels}    }}
  }}

  stage.structured_metadata {{
    values = {{
{metadata}    }}
  }}

  stage.label_drop {{
    values = ["filename"]
  }}

  forward_to = [loki.write.loki.receiver]
}}

loki.write "loki" {{
  endpoint {{
    url = "{policy.loki}/loki/api/v1/push"

    // Lines wait for a Loki that is away: an hour, between tries.
    max_backoff_period  = "1m"
    max_backoff_retries = 60
  }}
}}
"""


def _path(name: str) -> str:
    """Write a name for JMESPath, where a dot or an at sign would mean something else."""
    return f'\\"{name}\\"' if not name.isidentifier() else name


def _hours(days: int) -> str:
    return f"{days * 24}h"

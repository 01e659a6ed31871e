"""Which file of deploy/logs/ is made by what."""

import json
from typing import Any

import yaml

from scripts.logs import beats, elastic, loki, rsyslog, vector
from scripts.logs.policy import Policy

NOTE = "Made from deploy/logs/policy.yml by `python -m scripts.logs`; change that file instead."


def made(policy: Policy) -> dict[str, str]:
    """Return the text of every file, by its path below deploy/logs/."""
    return {
        "elasticsearch.json": _json(elastic.elasticsearch(policy)),
        "elasticsearch-ilm.json": _json(elastic.elasticsearch_ilm(policy)),
        "opensearch.json": _json(elastic.opensearch(policy)),
        "loki.yml": _yaml(loki.config(policy)),
        "rsyslog.conf": f"# {NOTE}\n\n{rsyslog.config(policy)}",
        "alloy/config.alloy": f"// {NOTE}\n\n{loki.alloy(policy)}",
        "filebeat.yml": _yaml(beats.filebeat(policy)),
        "fluent-bit/elasticsearch.yaml": _yaml(beats.fluent_bit_elasticsearch(policy)),
        "fluent-bit/loki.yaml": _yaml(beats.fluent_bit_loki(policy)),
        "vector/source.yaml": _yaml(vector.source(policy)),
        "vector/elasticsearch.yaml": _yaml(vector.elasticsearch(policy)),
        "vector/loki.yaml": _yaml(vector.loki(policy)),
        "vector/papertrail.yaml": _yaml(vector.papertrail(policy)),
        "vector/logtail.yaml": _yaml(vector.logtail(policy)),
    }


def _json(requests: dict[str, Any]) -> str:
    return json.dumps(requests, indent=2) + "\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are read, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(config: dict[str, Any]) -> str:
    text: str = yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=110)
    return f"# {NOTE}\n\n{text}"

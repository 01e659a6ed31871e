"""A running Elasticsearch, OpenSearch or Loki: sets it up, or tells where it breaks the policy."""

import json
import os
import re
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import yaml

from scripts.logs import elastic
from scripts.logs.policy import Policy

SECONDS = 30.0
# Who asks, where a server wants to know: user:password, or an API key.
USER, KEY = "LOGS_USER", "LOGS_API_KEY"
KINDS = {
    "elasticsearch": elastic.elasticsearch,
    "elasticsearch-ilm": elastic.elasticsearch_ilm,
    "opensearch": elastic.opensearch,
}


class LiveError(Exception):
    """A server could not be asked, or refused; the message has its answer."""


def apply(policy: Policy, kind: str, url: str) -> Iterator[str]:
    """PUT everything that a server of this kind needs; yield what was done. Raises LiveError."""
    for path, body in KINDS[kind](policy).items():
        target = path
        if path.startswith("_plugins/_ism/"):
            known = _ask("GET", f"{url}/{path}", missing=True)
            if known is not None:  # a policy is replaced only by who knows its version
                target += f"?if_seq_no={known['_seq_no']}&if_primary_term={known['_primary_term']}"
        _ask("PUT", f"{url}/{target}", body)
        yield f"PUT {path}"


def differences(policy: Policy, kind: str, url: str) -> Iterator[str]:
    """Yield where a running server keeps lines for another time than the policy says. Raises LiveError."""
    for name, days in policy.retention_days.items():
        live = _retention(policy, kind, url, name)
        found = "nothing" if live is None else live
        wanted = f"{days * 24}h" if kind == "loki" else f"{days}d"
        if found != wanted:
            yield f"{name}: {found} there, {wanted} in the policy"


def _retention(policy: Policy, kind: str, url: str, log_class: str) -> Any:
    """Return how long a class is kept now, as the server writes it; None where it does not say."""
    name = f"{policy.dataset}-{log_class}"
    if kind == "elasticsearch":
        # The stream decides once it exists; a template is for those to come.
        live = _ask("GET", f"{url}/_data_stream/{policy.stream(log_class)}", missing=True)
        if live is not None and live.get("data_streams"):
            return _at(live, "data_streams", 0, "lifecycle", "data_retention")
        live = _ask("GET", f"{url}/_index_template/{name}", missing=True)
        return _at(live, "index_templates", 0, "index_template", "template", "lifecycle", "data_retention")
    if kind == "elasticsearch-ilm":
        live = _ask("GET", f"{url}/_ilm/policy/{name}", missing=True)
        return _at(live, name, "policy", "phases", "delete", "min_age")
    if kind == "opensearch":
        live = _ask("GET", f"{url}/_plugins/_ism/policies/{name}", missing=True)
        return _at(live, "policy", "states", 0, "transitions", 0, "conditions", "min_rollover_age")
    limits = _ask("GET", f"{url}/config")
    if not _at(limits, "compactor", "retention_enabled"):
        return None
    for stream in _at(limits, "limits_config", "retention_stream") or ():
        if f'log_class="{log_class}"' in str(stream.get("selector")):
            return _hours(stream["period"])
    return _hours(_at(limits, "limits_config", "retention_period"))


def _hours(written: Any) -> str:
    """Write Loki's `4w2d`, `30d` or `720h0m0s` in hours."""
    parts = re.findall(r"(\d+)(w|d|h)", str(written))
    return f"{sum(int(number) * {'w': 168, 'd': 24, 'h': 1}[unit] for number, unit in parts)}h"


def _at(value: Any, *path: str | int) -> Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _ask(method: str, url: str, body: Any = None, *, missing: bool = False) -> Any:
    """Return the answer; None for a 404 where something may be missing."""
    if not url.startswith(("http://", "https://")):
        raise LiveError(f"{url}: an address begins with http:// or https://")
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"ApiKey {key}"
    elif user := os.environ.get(USER):
        headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - looked at above
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return yaml.safe_load(answer.read())  # JSON, or Loki's YAML
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404 and missing:
                return None
            said = error.read(500).decode(errors="replace")
        raise LiveError(f"{method} {url}: {error.code} {said}") from None
    except (OSError, yaml.YAMLError) as error:
        raise LiveError(f"{method} {url}: {error}") from None


__all__ = ["KINDS", "LiveError", "apply", "differences"]

"""Ours and its peers for AI calls: how each is switched on, for metrics alone, and what it has counted."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any

# calls, requests, input and output (tokens), apart (those of them in cache and reasoning), cost (US dollars)
Totals = Counter[str]
Read = Callable[[], Totals]

MODELS = ("gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small")
# US dollars a token, the same for all who compute money; made up, so that no table can know them by itself.
INPUT, CACHE_READ, CACHE_WRITE, OUTPUT = 2e-6, 5e-7, 2.5e-6, 8e-6
PEERS = (
    "openai",
    "anthropic",
    "opentelemetry-instrumentation-genai-openai",
    "opentelemetry-instrumentation-openai",
    "openlit",
    "opentelemetry-sdk",
)


def _bare() -> Read:
    return Counter


def ours() -> Read:
    from prometheus_client import CollectorRegistry

    from exporter.instrument import instrument_ai

    registry = CollectorRegistry()
    obs = instrument_ai(registry)
    prices = {
        model: {
            "input_cost_per_token": INPUT,
            "cache_read_input_token_cost": CACHE_READ,
            "cache_creation_input_token_cost": CACHE_WRITE,
            "output_cost_per_token": OUTPUT,
        }
        for model in MODELS
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prices.json")
        path.write_text(json.dumps(prices))
        obs.ai.prices(path)

    def read() -> Totals:
        told: Totals = Counter()
        for family in registry.collect():
            for sample in family.samples:
                if sample.name == "ai_api_calls_total":
                    told["calls"] += sample.value
                elif sample.name == "ai_api_attempts_total":
                    told["requests"] += sample.value
                elif sample.name == "ai_tokens_total":
                    kind = sample.labels["type"]
                    told[kind.partition("_")[0]] += sample.value
                    if kind not in ("input_uncached", "output_text"):
                        told["apart"] += sample.value
                elif sample.name == "ai_cost_usd_total":
                    told["cost"] += sample.value
        return told

    read.register = lambda url, provider: obs.ai.register_base_url(url, provider)
    return read


def _opentelemetry() -> Read:
    """Set a meter whose numbers stay here, and a tracer that samples nothing; read what the meter has."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))

    def read() -> Totals:
        told: Totals = Counter()
        data = reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        for metric in found:
            for point in metric.data.data_points:
                attributes: Any = point.attributes or {}
                if metric.name == "gen_ai.client.operation.duration":
                    told["calls"] += point.count
                elif metric.name == "gen_ai.client.token.usage":
                    kind = str(attributes.get("gen_ai.token.type"))
                    told[kind if kind in ("input", "output") else "apart"] += point.sum
                elif metric.name == "gen_ai.usage.cost":
                    told["cost"] += point.sum
        return told

    return read


def _genai() -> Read:
    read = _opentelemetry()
    for name, made in (("openai", "OpenAIInstrumentor"), ("anthropic", "AnthropicInstrumentor")):
        getattr(import_module(f"opentelemetry.instrumentation.genai.{name}"), made)().instrument()
    return read


def _openllmetry() -> Read:
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    read = _opentelemetry()
    for name, made in (("openai", "OpenAIInstrumentor"), ("anthropic", "AnthropicInstrumentor")):
        getattr(import_module(f"opentelemetry.instrumentation.{name}"), made)().instrument()
    return read


def _openlit() -> Read:
    read = _opentelemetry()
    import openlit

    entry = {"promptPrice": INPUT * 1000, "completionPrice": OUTPUT * 1000}
    cached = {"cacheReadPrice": CACHE_READ * 1000, "cacheCreationPrice": CACHE_WRITE * 1000}
    prices = {
        "chat": dict.fromkeys(MODELS, entry | cached),
        "embeddings": dict.fromkeys(MODELS, INPUT * 1000),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(prices, file)
        file.flush()
        openlit.init(
            capture_message_content=False,
            disable_events=True,
            pricing_json=file.name,
            disabled_instrumentors=["httpx", "requests", "urllib", "urllib3", "aiohttp-client"],
        )
    return read


_ALL = {
    "bare": ("openai", _bare),
    "ours": ("openai", ours),
    "OpenTelemetry GenAI": ("opentelemetry.instrumentation.genai.openai", _genai),
    "openllmetry": ("opentelemetry.instrumentation.openai", _openllmetry),
    "openlit": ("openlit", _openlit),
}


def available() -> list[str]:
    """Return the names of those that are installed, bare and ours first."""
    return [name for name, (module, _) in _ALL.items() if _installed(module)]


def switch_on(name: str) -> Read:
    """Let one of them watch this process; return the function that says what it has counted."""
    return _ALL[name][1]()


def _installed(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False

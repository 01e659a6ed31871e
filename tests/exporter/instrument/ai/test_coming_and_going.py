"""The hook comes on however the SDKs are imported, counts once, and comes off without a trace."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from exporter.instrument import instrument, instrument_ai
from exporter.instrument.ai import _hook
from tests.exporter.instrument.ai.driving import ASK

ROOT = Path(__file__).parents[4]
CHAT = ("openai", ASK["model"], "chat")


OFF = """
import sys
import httpx, openai, openai._base_client as base
from prometheus_client import CollectorRegistry
from exporter.instrument import instrument

def now():
    patched = (httpx.Client.send, httpx.AsyncClient.send, base.SyncAPIClient.request)
    return *patched, base.AsyncAPIClient.request, len(sys.meta_path)

before = now()
one, two = instrument(registry=CollectorRegistry()), instrument(registry=CollectorRegistry())
assert all(a is not b for a, b in zip(before[:4], now()))
one.uninstrument()
one.uninstrument()
assert now()[0] is not before[0]
two.uninstrument()
assert now() == before
assert instrument(registry=CollectorRegistry(), ai=False) and now() == before

# Another library on top keeps its place, and ours lets all pass.
obs = instrument(registry=CollectorRegistry())
ours = httpx.Client.send
httpx.Client.send = lambda self, *a, **k: ours(self, *a, **k)
obs.uninstrument()
with httpx.Client(transport=httpx.MockTransport(lambda r: httpx.Response(200, text="x"))) as client:
    assert client.post("https://api.openai.com/v1/embeddings", json={}).text == "x"
"""

LATE = """
import sys, asyncio
from prometheus_client import CollectorRegistry
from exporter.instrument import instrument_ai
obs = instrument_ai(CollectorRegistry())
assert not {"httpx", "httpx2", "openai", "anthropic"} & set(sys.modules), "the hook imports nothing itself"
from exporter.testing import FakeAI
with FakeAI() as fake:
    fake.register(obs.ai)
    import openai, anthropic, importlib.resources, httpx
    openai.OpenAI(base_url=fake.openai_url, api_key="x").embeddings.create(model="m", input="a")
    anthropic.Anthropic(base_url=fake.anthropic_url, api_key="x").messages.create(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}])
    assert obs.store._registry.get_sample_value("ai_tokens_total", {
        "provider": "openai", "model": "m", "type": "input_uncached"}) == 12
    assert obs.store._registry.get_sample_value("ai_api_calls_total", {
        "provider": "anthropic", "model": "m", "operation": "chat", "outcome": "success"}) == 1
    assert (importlib.resources.files("httpx") / "__init__.py").is_file()
    assert type(httpx.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(httpx.__spec__.loader)
obs.uninstrument()
"""

ALONE = """
import sys
from prometheus_client import CollectorRegistry
from exporter.instrument import instrument_ai
from exporter.testing import FakeAI
import openai._base_client as base
base.Elsewhere = base.SyncAPIClient
del base.SyncAPIClient
obs = instrument_ai(CollectorRegistry())
base.SyncAPIClient = base.Elsewhere
import openai
with FakeAI() as fake:
    fake.register(obs.ai)
    fake.fail(429, headers={"retry-after-ms": "1"})
    openai.OpenAI(base_url=fake.openai_url, api_key="x").embeddings.create(model="m", input="a")
    read = obs.store._registry.get_sample_value
    labels = {"provider": "openai", "model": "m", "operation": "embeddings"}
    assert read("ai_api_calls_total", labels | {"outcome": "error"}) == 1
    assert read("ai_api_calls_total", labels | {"outcome": "success"}) == 1
    assert read("ai_tokens_total", {"provider": "openai", "model": "m", "type": "input_uncached"}) == 12
    assert read("ai_instrumentation_errors_total", {"stage": "patch"}) == 1
obs.uninstrument()
"""


# In this order, because the first needs an interpreter that has imported nothing yet.
RUN = """
import json, sys, traceback
told = {}
for name, program in json.loads(sys.argv[1]).items():
    try:
        exec(compile(program, name, "exec"), {"__name__": name})
        told[name] = ""
    except Exception:
        told[name] = traceback.format_exc()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told():
    """What the programs said, one after the other in one new interpreter: importing takes the time."""
    programs = {"late": LATE, "off": OFF, "alone": ALONE}
    command = [sys.executable, "-c", RUN, json.dumps(programs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_sdks_that_are_imported_later_are_seen(told):
    """The hook imports nothing itself, waits for them, and leaves their loaders as they were."""
    assert told["late"] == ""


def test_it_comes_off_without_a_trace(told):
    """After the last observer has gone, the classes are as they were."""
    assert told["off"] == ""


def test_without_the_private_module_each_attempt_is_a_call(told):
    """With the insides of an SDK moved, nothing else is lost."""
    assert told["alone"] == ""


def test_two_observers_of_one_store_count_once(watched):
    """Several applications in one process share their numbers; another registry has its own."""
    again = instrument(registry=watched.registry)
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    again.uninstrument()
    watched.run(lambda sdk: sdk.do(sdk.openai.chat.completions.create(**ASK)), sync=True)
    assert watched.seen["calls"] == {(*CHAT, "success"): 2}


def test_a_worker_without_an_application_has_it_too():
    """`instrument_ai()` is the one line there."""
    obs = instrument_ai(CollectorRegistry())
    try:
        assert httpx.Client.send in [ours for ours, _ in _hook._patched.values()]
    finally:
        obs.uninstrument()

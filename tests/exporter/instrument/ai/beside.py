"""Ours and another instrumentation in one process: each must see what it sees alone. Prints both as JSON.

Run as a program, because such libraries patch for good: python -m tests.exporter.instrument.ai.beside sentry
"""

import importlib
import json
import os
import sys
import traceback

from exporter.testing import FakeAI
from tests.exporter.instrument.ai.driving import ASK, QUICK, TELL, Watched


async def calls(sdk):
    """A bit of everything that can go wrong between two who patch the same functions."""
    create = sdk.openai.chat.completions.create
    await sdk.do(create(**ASK))
    sdk.fake.fail(429, headers=QUICK)
    stream = await sdk.do(create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert len(await sdk.all(stream)) == 7
    stream = await sdk.do(create(**ASK, stream=True))
    async for _ in sdk.each(stream):
        break
    await sdk.do(stream.close())
    await sdk.do(sdk.openai.embeddings.create(model="e", input="a"))
    await sdk.do(sdk.openai.responses.create(model="r", input="a"))
    sdk.fake.fail(400, "invalid_request_error")
    try:
        await sdk.do(create(**ASK))
    except Exception as error:
        assert type(error).__name__ == "BadRequestError"
    await sdk.do(sdk.anthropic.messages.create(**TELL))
    async with sdk.entered(sdk.anthropic.messages.stream(**TELL)) as stream:
        assert "".join(await sdk.all(stream.text_stream)) == "Hello there, how are you?"


def sentry():
    """Sentry with tracing and all that it has for these libraries; what it has seen are spans and events."""
    import sentry_sdk
    from sentry_sdk.transport import Transport

    seen = []

    class Kept(Transport):
        def capture_envelope(self, envelope):
            for item in envelope.items:
                payload = item.payload.json or {}
                spans = [f"span {span.get('op')}" for span in payload.get("spans", ())]
                seen.extend([f"{item.type} {payload.get('transaction', '')}", *spans])

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        traces_sample_rate=1.0,
        transport=Kept,
        integrations=list(integrations()),
        auto_enabling_integrations=False,  # for whatever else is installed; importing that takes seconds
    )

    def during(run):
        seen.clear()
        with sentry_sdk.start_transaction(name="work"):
            run()
        sentry_sdk.flush()
        return sorted(seen)

    return during


def integrations():
    for name, kind in (
        ("httpx", "HttpxIntegration"),
        ("httpx2", "Httpx2Integration"),
        ("openai", "OpenAIIntegration"),
        ("anthropic", "AnthropicIntegration"),
    ):
        try:
            module = importlib.import_module(f"sentry_sdk.integrations.{name}")
        except ImportError:
            continue
        except Exception as error:  # its DidNotEnable, where the library is missing
            assert type(error).__name__ == "DidNotEnable"
            continue
        yield getattr(module, kind)()


def otel():
    """OpenTelemetry's instrumentations of both SDKs and of the HTTP clients, as far as they are installed."""
    from opentelemetry import trace
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    for instrumentor in (OpenAIInstrumentor(), AnthropicInstrumentor(), HTTPXClientInstrumentor()):
        instrumentor.instrument()

    def during(run):
        kept.clear()
        run()
        usage = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "http.status_code")
        return sorted(
            f"{span.name} {[span.attributes.get(key) for key in usage]}" for span in kept.get_finished_spans()
        )

    return during


def main(name):
    """Run the calls in both orders, each in a child that has imported the SDKs already."""
    with FakeAI() as fake:  # what SDKs do once in a process, such as asking for the machine's name
        first = Watched(fake)
        first.obs.uninstrument()
        both(first)
    for order in ("ours_first", "theirs_first"):
        child = os.fork()
        if child == 0:
            try:
                print(json.dumps({"order": order, **compared(name, order)}), flush=True)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def compared(name, order):
    """Run the calls with the other one alone, then with both; say what each has seen."""
    report = {"theirs": [], "ours": []}
    setup = {"sentry": sentry, "otel": otel}[name]
    if order == "ours_first":
        with FakeAI() as fake:
            watched = Watched(fake)
            during = setup()
            report["theirs"].append(during(lambda: both(watched)))
            report["ours"].append(seen(watched))
            watched.obs.uninstrument()
            report["theirs"].append(during(lambda: both(watched)))
            assert seen(watched) == report["ours"][0], "switched off, it goes on counting"
    else:
        during = setup()
        for switched_on in (False, True):
            with FakeAI() as fake:
                watched = Watched(fake)
                if not switched_on:
                    watched.obs.uninstrument()
                report["theirs"].append(during(lambda watched=watched: both(watched)))
                if switched_on:
                    report["ours"].append(seen(watched))
    return report


def both(watched):
    for sync in (True, False):
        watched.run(calls, sync=sync)


def seen(watched):
    return {key: {str(k): v for k, v in value.items()} for key, value in watched.seen.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])

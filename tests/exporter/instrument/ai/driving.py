"""Driving the real SDKs, sync and async by the same words, against the stand-in."""

import asyncio
import inspect
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property

import anthropic
import openai
from prometheus_client import CollectorRegistry

from exporter.instrument import instrument
from exporter.instrument.ai._ledger import Ledger
from exporter.store import Store
from exporter.testing import FakeAI

QUICK = {"retry-after-ms": "1", "retry-after": "0.001"}
ASK = {"model": "gpt-5.6-mini", "messages": [{"role": "user", "content": "Hello?"}]}
TELL = {"model": "claude-opus-5", "max_tokens": 100, "messages": ASK["messages"]}


class Sdk:
    """The clients of one kind, and words that work with both kinds: `do`, `each`, `entered`."""

    def __init__(self, fake, sync, **options):
        self.fake = fake
        self.sync = sync
        self._options = {"api_key": "none", "timeout": 10, "max_retries": 2} | options
        self._made = []

    @cached_property
    def openai(self):
        return self.client(openai, "OpenAI", base_url=self.fake.openai_url)

    @cached_property
    def anthropic(self):
        return self.client(anthropic, "Anthropic", base_url=self.fake.anthropic_url)

    @cached_property
    def azure(self):
        return self.client(
            openai, "AzureOpenAI", azure_endpoint=self.fake.azure_url, api_version="2026-04-01"
        )

    def client(self, module, name, **options):
        # Reading the machine's certificates for each client would be most of the tests' time.
        transport = getattr(module, "DefaultHttpxClient" if self.sync else "DefaultAsyncHttpxClient")
        options = {"http_client": transport(verify=False)} | self._options | options
        client = getattr(module, name if self.sync else f"Async{name}")(**options)
        self._made.append(client)
        return client

    async def do(self, value):
        return await value if inspect.isawaitable(value) else value

    async def each(self, stream):
        if self.sync:
            for item in stream:
                yield item
        else:
            async for item in stream:
                yield item

    async def all(self, stream):
        return [item async for item in self.each(stream)]

    @asynccontextmanager
    async def entered(self, manager):
        if self.sync:
            with manager as value:
                yield value
        else:
            async with manager as value:
                yield value

    async def close(self):
        for client in self._made:
            await self.do(client.close())


class Watched:
    """A stand-in, an observer of it with a registry of its own, and what that one says."""

    def __init__(self, fake):
        self.fake = fake
        self.registry = CollectorRegistry()
        self.obs = instrument(registry=self.registry)
        # Prices have tests of their own; here a model is without one, whatever is installed.
        self.ledger = Ledger.of(self.obs.store)
        self.ledger.prices._installed = False
        fake.register(self.obs.ai)

    def run(self, case, *, sync, **options):
        """Run an async function of one `Sdk`, closed at the end; return what it returns."""

        async def main():
            async with AsyncExitStack() as ends:
                sdk = Sdk(self.fake, sync, **options)
                sdk.watched = self
                ends.push_async_callback(sdk.close)
                return await case(sdk)

        return asyncio.run(main())

    def samples(self, name):
        """The samples that are not 0, by the tuple of their label values."""
        found = Counter()
        for family in Store.of(self.registry).collect():
            for sample in family.samples:
                if sample.name == name and sample.value:
                    found[tuple(sample.labels.values())] += sample.value
        return dict(found)

    def by(self, name, label):
        """The same, summed by one label."""
        found = Counter()
        for family in Store.of(self.registry).collect():
            for sample in family.samples:
                if sample.name == name and sample.value:
                    found[sample.labels[label]] += sample.value
        return dict(found)

    @property
    def seen(self):
        """The whole truth of what has been counted, without times."""
        self.ledger.prices.wait()
        return {
            "calls": self.samples("ai_api_calls_total"),
            "attempts": self.by("ai_api_attempts_total", "status"),
            "tokens": self.by("ai_tokens_total", "type"),
            "errors": self.by("ai_api_errors_total", "category"),
            "unpriced": self.by("ai_unpriced_calls_total", "reason"),
            "in_progress": self.samples("ai_api_calls_in_progress"),
            "failures": self.by("ai_instrumentation_errors_total", "stage"),
        }


def started():
    """A stand-in and its observer, for a fixture."""
    with FakeAI() as fake:
        watched = Watched(fake)
        try:
            yield watched
        finally:
            watched.obs.uninstrument()

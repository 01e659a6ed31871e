"""pytest fixtures; without pytest there are none, and everything else of the package can still be read."""

from collections.abc import Iterator
from contextlib import suppress

from exporter.testing.fake_ai import FakeAI

with suppress(ModuleNotFoundError):
    import pytest

    @pytest.fixture
    def fake_ai() -> Iterator[FakeAI]:
        """A stand-in for OpenAI, Azure OpenAI and Anthropic, for one test: `fake_ai.openai_url`."""
        with FakeAI() as server:
            yield server

"""An observer with a registry of its own, and its numbers."""

import pytest
from prometheus_client import CollectorRegistry

from exporter import instrument


class Observed:
    """An observer without an application, and what its registry says."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.obs = instrument(registry=self.registry)

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def observed():
    return Observed()

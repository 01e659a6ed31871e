"""A stand-in for the services, and an observer of the SDKs that call it."""

import pytest

from tests.exporter.instrument.ai.driving import started


@pytest.fixture
def watched():
    yield from started()


@pytest.fixture(params=["sync", "async"])
def sync(request):
    return request.param == "sync"

"""For the tests of applications: a stand-in for AI services that speaks their wire formats.

`pytest_plugins = ["exporter.testing.plugin"]` gives the fixture `fake_ai`; `FakeAI` works without pytest.
"""

from exporter.testing._script import Answer, Gate
from exporter.testing.fake_ai import FakeAI

__all__ = ["Answer", "FakeAI", "Gate"]

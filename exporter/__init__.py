"""Watchkeeper: production monitoring for Python back ends."""

from exporter.catalog import Metric
from exporter.instrument import instrument

__version__ = "0.1.0"
__all__ = ["Metric", "__version__", "instrument"]

"""Short forms of a declaration under node_exporter's names, which all files here use."""

from exporter.catalog import Metric


def counter(name: str, help: str, *labels: str) -> Metric:  # noqa: A002 - the word of the field
    """Return what only rises, until the machine starts anew."""
    return Metric(name, "counter", help, labels, origin="node_exporter")


def gauge(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    """Return what rises and falls."""
    return Metric(name, "gauge", help, labels, origin="node_exporter")


def untyped(name: str, help: str) -> Metric:  # noqa: A002
    """Return what node_exporter passes on from a file of the kernel without saying what it is."""
    return Metric(name, "untyped", help, origin="node_exporter")

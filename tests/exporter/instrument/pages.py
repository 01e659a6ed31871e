"""The metrics page of an instrumented application, as numbers."""

from prometheus_client.parser import text_string_to_metric_families

from exporter.store import Store


def samples_of(text, name):
    """The samples of this name on a page, by their label values."""
    families = text_string_to_metric_families(text)
    return {tuple(s.labels.values()): s.value for f in families for s in f.samples if s.name == name}


class Page:
    """What the store of a registry says now."""

    def __init__(self, registry):
        self.registry = registry

    def samples(self, name):
        return samples_of(Store.of(self.registry).page().decode(), name)

    @property
    def requests(self):
        """What was counted; the zeros that are there from the start are left out."""
        return {labels: value for labels, value in self.samples("http_requests_total").items() if value}

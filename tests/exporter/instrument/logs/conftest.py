"""Logs that end in a list, and a root logger that is as before when the test is over."""

import json
import logging

import pytest
from prometheus_client import CollectorRegistry

from exporter.instrument.logs.handler import Handler
from exporter.instrument.logs.log import Log
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.pipeline import Pipeline
from exporter.store import Store


class Kept:
    """A sink that keeps what is written; `broken` makes it fail, `gate` makes it wait."""

    def __init__(self):
        self.data = b""
        self.broken = None
        self.gate = None

    def write(self, data):
        if self.gate is not None:
            self.gate.wait(10)
        if self.broken is not None:
            raise self.broken
        self.data += data

    def after_fork(self):
        pass


class Logs:
    """A pipeline without an application: log, then ask for lines and numbers."""

    def __init__(self, **options):
        self.registry = CollectorRegistry()
        self.sink = Kept()
        given = {"service": "shop", "scrub": False} | options
        self.pipeline = Pipeline(Store.of(self.registry), LogOptions(**given), self.sink)
        self.log = Log(self.pipeline)
        self.logger = logging.Logger("shop.cart", 1)  # of no hierarchy
        self.logger.addHandler(Handler(self.pipeline))

    @property
    def lines(self):
        assert self.pipeline.writer.flush()
        return [json.loads(line) for line in self.sink.data.splitlines()]

    @property
    def line(self):
        (line,) = self.lines
        return line

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def make():
    made = []

    def make(**options):
        made.append(Logs(**options))
        return made[-1]

    yield make
    for each in made:
        each.sink.broken = None
        each.pipeline.writer.close()


@pytest.fixture
def logs(make):
    return make()

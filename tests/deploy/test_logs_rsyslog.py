"""Lines of our formatter through a real rsyslog into a receiver: by class, once each, none lost."""

import contextlib
import dataclasses
import subprocess

import pytest
from prometheus_client import CollectorRegistry

from exporter.instrument.logs.classes import CLASSES
from exporter.instrument.logs.options import LogOptions
from exporter.instrument.logs.pipeline import Pipeline
from exporter.store import Store
from scripts.logs import rsyslog
from scripts.logs.policy import read
from scripts.stack.errors import SetupError
from tests.deploy.bulk import Bulk
from tests.waiting import wait_for


class Shipper:
    """rsyslog with our file alone, in a folder of its own."""

    def __init__(self, program, folder, policy):
        self.folder, self._program = folder, program
        (folder / "spool").mkdir()
        self.config = folder / "rsyslog.conf"
        # The interval is shortened, so that a test need not wait for the next try.
        text = rsyslog.config(policy, str(folder / "spool")).replace(
            'resumeInterval="5"', 'resumeInterval="1"'
        )
        self.config.write_text(f'global(workDirectory="{folder}/spool")\n{text}')
        self._process = None

    def command(self, *more):
        modules = (
            [] if self._program.tree is None else ["-M", str(*self._program.tree.glob("usr/lib/*/rsyslog"))]
        )
        return [str(self._program.path), *modules, "-f", str(self.config), *more]

    def problems(self):
        done = subprocess.run(self.command("-N1"), capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    def start(self):
        with (self.folder / "said").open("ab") as said:
            command = self.command("-n", "-i", str(self.folder / "pid"))
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def schema(request):
    return getattr(request, "param", "flat")


@pytest.fixture
def rig(programs, tmp_path, schema):
    """The receiver, the shipper and a pipeline that writes what the shipper reads."""
    try:
        program = programs["rsyslogd"]
    except SetupError as error:
        pytest.skip(f"rsyslog cannot be had here: {error}")
    bulk = Bulk().start()
    file = tmp_path / "app.jsonl"
    policy = dataclasses.replace(
        read(), schema=schema, files=str(tmp_path / "*.jsonl"), elasticsearch=bulk.url
    )
    shipper = Shipper(program, tmp_path, policy)
    status, said = shipper.problems()
    if "omelasticsearch" in said and "could not load" in said:
        bulk.stop()
        pytest.skip("this rsyslog has no part for Elasticsearch")
    assert status == 0, said
    options = LogOptions(service="shop", file=file, schema=schema, level="DEBUG", scrub=False)
    pipeline = Pipeline(Store.of(CollectorRegistry()), options)
    yield bulk, shipper, pipeline, file
    shipper.stop()
    with contextlib.suppress(Exception):
        bulk.stop()
    pipeline.writer.close()


def say(pipeline, numbers, text="number", **extra):
    for number in numbers:
        log_class = CLASSES[number % 4]
        pipeline.submit(
            1_800_000_000.5, "INFO", 20, "shop", f"{text} {number}", log_class=log_class, extra=extra
        )
    pipeline.writer.flush()


@pytest.mark.parametrize("schema", ["flat", "ecs"], indirect=True)
def test_lines_arrive_by_class_and_whole(rig, schema):
    """Unicode, nested fields, 30 kB; a supervisor's plain line as well; a forged class makes no index."""
    bulk, shipper, pipeline, file = rig
    shipper.start()
    say(pipeline, range(8), "größe 😀", order={"id": 7})
    say(pipeline, [0], "x" * 30_000)
    with file.open("a") as end:
        end.write('INFO: said by a "supervisor"\n')
        end.write(
            '{"log_class": "../evil", "message": "forged", "event_id": "forged", "event.id": "forged"}\n'
        )
    wait_for(lambda: len(bulk.documents) == 11, 20, lambda: bulk.documents.keys())
    assert {index for index, _ in bulk.documents} == {f"logs-watchkeeper.{name}-default" for name in CLASSES}
    security = bulk.of("logs-watchkeeper.security-default")
    id_, name = ("event.id", "@timestamp") if schema == "ecs" else ("event_id", "timestamp")
    for key, line in security.items():
        assert line[id_] == key
        assert line["message"].startswith("größe 😀")
        assert line["extra"] == {"order": {"id": 7}}
        assert line[name] == "2027-01-15T08:00:00.500000Z"
    production = bulk.of("logs-watchkeeper.production-default")
    assert any(len(line["message"]) == 30_002 for line in production.values())
    (plain,) = [line for line in production.values() if "supervisor" in line["message"]]
    assert plain["message"] == 'INFO: said by a "supervisor"'
    assert plain["log_class"] == "production"
    assert plain[id_]
    assert plain[name].startswith("20")
    assert production["forged"]["message"] == "forged"


class Missing:
    """What a failure shows."""

    def __init__(self, bulk):
        self._bulk = bulk

    def __str__(self):
        there = {int(line["message"].split()[1]) for line in self._bulk.documents.values()}
        return f"of 800 these are missing: {sorted(set(range(800)) - there)}"


def test_an_outage_loses_no_line_and_doubles_none(rig):
    """The receiver hangs up, then is gone, comes back, and refuses some lines for now."""
    bulk, shipper, pipeline, _ = rig
    shipper.start()
    say(pipeline, range(200))
    wait_for(lambda: bulk.documents, 20, "the first lines")
    bulk.away = True
    say(pipeline, range(200, 400))
    wait_for(lambda: bulk.turned_away, 20, "it has tried")
    bulk.stop()
    say(pipeline, range(400, 600))
    bulk.refuse, bulk.away = 50, False
    bulk.start()
    say(pipeline, range(600, 800))
    wait_for(lambda: len(bulk.documents) >= 800, 20, Missing(bulk))
    numbers = sorted(int(line["message"].split()[1]) for line in bulk.documents.values())
    assert numbers == list(range(800))
    assert bulk.refuse == 0


def test_a_shipper_that_is_started_anew_goes_on_where_it_was(rig):
    """What was written in between is read, and nothing is sent twice."""
    bulk, shipper, pipeline, _ = rig
    shipper.start()
    say(pipeline, range(100))
    wait_for(lambda: len(bulk.documents) >= 100, 20, "the first lines")
    shipper.stop()
    say(pipeline, range(100, 200))
    shipper.start()
    wait_for(lambda: len(bulk.documents) >= 200, 20, "the others")
    assert bulk.repeated == 0


def test_what_is_refused_as_a_whole_is_kept_in_a_file(rig):
    """This rsyslog does not repeat a request that is answered by 503; its lines are beside the queue then."""
    bulk, shipper, pipeline, _ = rig
    shipper.start()
    bulk.sick = True
    say(pipeline, range(100))
    refused = shipper.folder / "spool" / "watchkeeper-refused.json"
    wait_for(lambda: refused.exists() and refused.read_text().count("number ") >= 100, 20, "they are there")
    bulk.sick = False
    say(pipeline, range(100, 110))
    wait_for(lambda: len(bulk.documents) >= 10, 20, lambda: len(bulk.documents))

"""deploy/logs/: all is made from the policy, says what it says, and can be read by what reads it."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml

from exporter.instrument.logs.classes import CLASSES
from exporter.instrument.logs.formatter import LONGEST_LINE
from exporter.instrument.logs.schema import FIELDS
from scripts.logs import __main__ as command
from scripts.logs import elastic, loki, rsyslog, vector
from scripts.logs.files import made
from scripts.logs.policy import FOLDER, PolicyError, read
from tests.deploy.bulk import Bulk

ROOT = Path(__file__).parents[2]
POLICY = read()
DAYS = {"production": 30, "debug": 7, "audit": 365, "security": 730}


@pytest.fixture
def server():
    bulk = Bulk().start()
    yield bulk
    bulk.stop()


def test_the_files_are_up_to_date():
    """Change policy.yml or the generator, then run `python -m scripts.logs`."""
    assert command.main(["--check"]) == 0


def test_nothing_is_left_that_nobody_makes():
    """A file that the generator has forgotten would be wrong for ever."""
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert there == {*made(POLICY), "policy.yml", "compose.yml"}


def test_check_names_what_is_out_of_date(tmp_path, capsys):
    """And the plain command puts it right."""
    (tmp_path / "policy.yml").write_text((FOLDER / "policy.yml").read_text())
    given = ["--folder", str(tmp_path)]
    assert command.main([*given, "--check"]) == 1
    assert "loki.yml is out of date" in capsys.readouterr().out
    assert command.main(given) == 0
    assert command.main([*given, "--check"]) == 0
    (tmp_path / "policy.yml").write_text((FOLDER / "policy.yml").read_text().replace("debug: 7", "debug: 8"))
    assert command.main([*given, "--check"]) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("debug: 7", "debug: 0", "debug: 0 is no number of days"),
        ("debug: 7", "debugging: 7", "give days for"),
        ("debug: 7", "debug: 1y", "'1y' is no number"),
        ("schema: flat", "schema: xml", "use flat or ecs"),
        ("schema: flat", "scheme: flat", "unknown or missing"),
        ("dataset: watchkeeper", "dataset: a-b", "dataset"),
        ("http://loki:3100", "loki:3100", "loki"),
        ("http://elasticsearch", "http://user:secret@elasticsearch", "without a password"),
        ("retention_days:", "retention_days: [", "policy.yml"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(tmp_path, capsys, old, new, said):
    """With the key and what would do; nothing is written."""
    (tmp_path / "policy.yml").write_text((FOLDER / "policy.yml").read_text().replace(old, new))
    with pytest.raises(PolicyError, match=re.escape(said)):
        read(tmp_path / "policy.yml")
    assert command.main(["--folder", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "policy.yml"]
    assert capsys.readouterr().err.startswith("logs: ")


def test_the_policy_is_the_one_that_was_asked_for():
    """30 days, 7 days, a year, two years."""
    assert POLICY.retention_days == DAYS


def test_elasticsearch_keeps_each_class_for_its_days():
    """In the template of its data stream, and by lifecycle management alike."""
    streams, ilm = elastic.elasticsearch(POLICY), elastic.elasticsearch_ilm(POLICY)
    for name, days in DAYS.items():
        template = streams[f"_index_template/watchkeeper-{name}"]
        assert template["template"]["lifecycle"] == {"data_retention": f"{days}d"}
        assert template["index_patterns"] == [f"logs-watchkeeper.{name}-default"]
        assert template["data_stream"] == {}
        policy = ilm[f"_ilm/policy/watchkeeper-{name}"]["policy"]["phases"]
        assert policy["delete"]["min_age"] == f"{days}d"
        managed = ilm[f"_index_template/watchkeeper-{name}"]["template"]["settings"]
        assert managed == {"index.lifecycle.name": f"watchkeeper-{name}"}


def test_opensearch_keeps_each_class_for_its_days():
    """By state management, which finds the streams by their names."""
    for name, days in DAYS.items():
        policy = elastic.opensearch(POLICY)[f"_plugins/_ism/policies/watchkeeper-{name}"]["policy"]
        (hot, delete) = policy["states"]
        assert hot["transitions"] == [
            {"state_name": "delete", "conditions": {"min_rollover_age": f"{days}d"}}
        ]
        assert delete["actions"] == [{"delete": {}}]
        assert policy["ism_template"][0]["index_patterns"] == [f"logs-watchkeeper.{name}-default"]


def test_loki_keeps_each_class_for_its_days():
    """And deletes at all, which it does not by default."""
    config = yaml.safe_load((FOLDER / "loki.yml").read_text())
    assert config["compactor"]["retention_enabled"] is True
    kept = {stream["selector"]: stream["period"] for stream in config["limits_config"]["retention_stream"]}
    assert kept == {
        f'{{log_class="{name}"}}': f"{days * 24}h" for name, days in DAYS.items() if name != "production"
    }
    assert config["limits_config"]["retention_period"] == "720h"
    assert config["schema_config"]["configs"][0]["index"]["period"] == "24h"


def fields_of(properties, prefix=""):
    found = {}
    for name, what in properties.items():
        if "properties" in what and "type" not in what:
            found |= fields_of(what["properties"], f"{prefix}{name}.")
        else:
            found[prefix + name] = what
    return found


@pytest.mark.parametrize("schema", ["flat", "ecs"])
@pytest.mark.parametrize("search", ["elasticsearch", "opensearch"])
def test_every_field_is_mapped_and_every_alias_leads_to_a_field(schema, search):
    """Either schema can be asked by the names of the other; nothing clashes, no line can be refused."""
    policy = dataclasses.replace(POLICY, schema=schema)
    requests = getattr(elastic, search)(policy)
    mappings = requests["_component_template/watchkeeper-mappings"]["template"]["mappings"]
    assert mappings["dynamic"] is False
    # The exception is a branch of its own, whose `type` is a field.
    mapped = fields_of(mappings["properties"])
    real = {name for name, what in mapped.items() if what.get("type") != "alias"}
    for name, what in mapped.items():
        if what.get("type") == "alias":
            assert what["path"] in real or what["path"].partition(".")[0] in real, name
    for field in FIELDS:
        written = field.ecs if schema == "ecs" else field.name
        assert any(name == written or name.startswith(f"{written}.") for name in mapped), written
    assert not [name for name in real if any(other.startswith(f"{name}.") for other in mapped)]


@pytest.mark.parametrize("name", sorted(made(POLICY)))
def test_every_file_can_be_read(name):
    """JSON and YAML by their parsers; braces and quotes of the others are in pairs."""
    text = (FOLDER / name).read_text()
    if name.endswith(".json"):
        assert json.loads(text)
    elif name.endswith((".yml", ".yaml")):
        assert yaml.safe_load(text)
    else:
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', re.sub(r"(?m)^\s*(#|//).*$", "", text))
        for pair in ("{}", "[]", "()"):
            assert bare.count(pair[0]) == bare.count(pair[1])
        assert bare.count('"') % 2 == 0


def test_every_shipper_takes_the_longest_line():
    """What the formatter may write is read whole."""
    assert (
        yaml.safe_load((FOLDER / "vector/source.yaml").read_text())["sources"]["files"]["max_line_bytes"]
        > LONGEST_LINE
    )
    assert 'maxMessageSize="64k"' in rsyslog.config(POLICY)
    (tail,) = yaml.safe_load((FOLDER / "fluent-bit/loki.yaml").read_text())["pipeline"]["inputs"]
    assert tail["buffer_max_size"] == "128k"
    assert loki.config(POLICY)["limits_config"]["max_line_size"] == "64KB"
    assert (
        yaml.safe_load((FOLDER / "filebeat.yml").read_text())["filebeat.inputs"][0]["message_max_bytes"]
        > LONGEST_LINE
    )


def test_users_and_traces_are_no_labels():
    """In Loki each value of a label is a stream of its own."""
    labels = set(vector.loki(POLICY)["sinks"]["loki"]["labels"])
    assert labels == {"service", "level", "log_class"} == set(loki.LABELS)
    assert "stage.structured_metadata" in loki.alloy(POLICY)


def test_sinks_of_services_take_their_secrets_from_the_environment():
    """No token and no account's address is in a file."""
    for name in ("papertrail", "logtail"):
        text = (FOLDER / f"vector/{name}.yaml").read_text()
        assert f"${{{name.upper()}_" in text


@pytest.mark.parametrize("kind", ["elasticsearch", "elasticsearch-ilm", "opensearch"])
def test_a_server_is_set_up_and_then_agrees_with_the_policy(server, capsys, kind):
    """`apply`, then `verify`; the mappings come before the templates that are composed of them."""
    assert command.main(["verify", kind, server.url]) == 1
    assert "audit: nothing there, 365d in the policy" in capsys.readouterr().out
    assert command.main(["apply", kind, server.url]) == 0
    told = {
        "elasticsearch": elastic.elasticsearch,
        "elasticsearch-ilm": elastic.elasticsearch_ilm,
        "opensearch": elastic.opensearch,
    }[kind](POLICY)
    assert server.put == told
    order = list(server.put)
    assert order.index("_component_template/watchkeeper-mappings") < order.index(
        "_index_template/watchkeeper-audit"
    )
    as_answered(server)
    assert command.main(["verify", kind, server.url]) == 0


def as_answered(server):
    """Elasticsearch wraps what it is asked for."""
    for path, body in list(server.put.items()):
        kind, _, name = path.rpartition("/")
        if kind == "_index_template":
            server.put[path] = {"index_templates": [{"name": name, "index_template": body}]}
        elif kind == "_ilm/policy":
            server.put[path] = {name: body}


def test_a_stream_that_was_changed_by_hand_is_found(server, capsys):
    """An existing data stream decides, whatever its template says."""
    command.main(["apply", "elasticsearch", server.url])
    as_answered(server)
    stream = {"name": "logs-watchkeeper.security-default", "lifecycle": {"data_retention": "7d"}}
    server.put["_data_stream/logs-watchkeeper.security-default"] = {"data_streams": [stream]}
    capsys.readouterr()
    assert command.main(["verify", "elasticsearch", server.url]) == 1
    assert capsys.readouterr().out == "security: 7d there, 730d in the policy\n"


def test_lokis_own_answer_is_compared(server, capsys):
    """It writes hours in its own way, and is wrong where retention is off."""
    config = loki.config(POLICY)
    server.put["config"] = config
    assert command.main(["verify", "loki", server.url]) == 0
    config["limits_config"]["retention_period"] = "30d"
    config["limits_config"]["retention_stream"][2]["period"] = "17519h0m0s"
    assert command.main(["verify", "loki", server.url]) == 1
    assert capsys.readouterr().out == "security: 17519h there, 17520h in the policy\n"
    config["compactor"]["retention_enabled"] = False
    assert command.main(["verify", "loki", server.url]) == 1


def test_a_server_that_is_away_is_a_message(capsys):
    """Not a traceback; and the exit status says that nothing was found out."""
    assert command.main(["verify", "elasticsearch", "http://127.0.0.1:9"]) == 2
    assert "Connection refused" in capsys.readouterr().err


COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_for_logs_is_asked_for_pinned_and_without_rights(name):
    """As all services of docker-compose.yml; the two that must write into their image are listed."""
    one = SERVICES[name]
    assert one["profiles"] in (["logs"], ["loki"])
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", one["image"])
    assert one["cap_drop"] == ["ALL"]
    assert int(one["user"].partition(":")[0]) > 0
    assert one.get("read_only", False) is (name not in ("elasticsearch", "kibana"))
    for port in one.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    for volume in one.get("volumes", ()):
        source, _, mode = (*volume.split(":"), "rw")[:3]
        if source.startswith("."):
            assert mode == "ro"
            assert (FOLDER / source).is_file()
        else:
            assert source in COMPOSE["volumes"]


def test_the_main_file_includes_this_one():
    """So a profile is all that one has to name; and the application can write where shippers read."""
    main = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert main["include"] == ["deploy/logs/compose.yml"]
    assert "logs:/var/log/watchkeeper" in main["services"]["app"]["volumes"]
    assert main["services"]["app"]["environment"]["LOG_FILE"] == "${LOG_FILE:-}"
    assert POLICY.files.startswith("/var/log/watchkeeper/")
    assert not main["services"].keys() & SERVICES.keys()


def test_all_classes_have_a_period():
    """A class that is added needs days here."""
    assert set(POLICY.retention_days) == set(CLASSES)
